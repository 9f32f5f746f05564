//! Reads Rust source just well enough to know which paths and methods it names outside of its
//! tests. It must not judge what it finds: `main.rs` does, and is the only caller.

/// A word, a `::` or a single mark of the source, with the line on which it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A path as it is written, `use` trees spelled out: `crate`, `event`, `decode`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

/// A file without its comments, strings and test code.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) tokens: Vec<Token>,
    /// The modules under `#[cfg(test)]` whose text lies in a file of their own.
    pub(crate) test_modules: Vec<String>,
}

impl Source {
    pub(crate) fn read(text: &str) -> Source {
        let chars: Vec<char> = text.chars().collect();
        let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
        while at < chars.len() {
            let (end, word) = lex(&chars, at);
            tokens.extend(word.map(|text| Token { text, line }));
            line += chars[at..end].iter().filter(|&&c| c == '\n').count();
            at = end;
        }
        let (tokens, test_modules) = without_tests(&tokens);
        Source { tokens, test_modules }
    }

    /// Every path of two segments and more, and every leaf of a `use`.
    pub(crate) fn paths(&self) -> Vec<Path> {
        let (mut paths, mut at) = (Vec::new(), 0);
        while at < self.tokens.len() {
            let follows = at.checked_sub(1).map_or("", |before| self.text(before));
            if self.text(at) == "use" && self.text(at + 1) != "<" {
                at = self.use_tree(at + 1, &[], &mut paths);
            } else if is_word(self.text(at)) && !matches!(follows, "." | "::") {
                at = self.path(at, &mut paths);
            } else if self.text(at) == "::" && !is_word(follows) && follows != ">" {
                at = self.path(at + 1, &mut paths);
            } else {
                at += 1;
            }
        }
        paths
    }

    /// The methods called, `value.name(…)`, with their lines.
    pub(crate) fn methods(&self) -> impl Iterator<Item = &Token> {
        self.tokens.windows(3).filter(|w| w[0].text == "." && w[2].text == "(").map(|w| &w[1])
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text.as_str())
    }

    fn path(&self, start: usize, paths: &mut Vec<Path>) -> usize {
        let (mut segments, mut at) = (vec![self.text(start).to_owned()], start + 1);
        while self.text(at) == "::" && is_word(self.text(at + 1)) {
            segments.push(self.text(at + 1).to_owned());
            at += 2;
        }
        if segments.len() > 1 {
            paths.push(Path { segments, line: self.tokens[start].line });
        }
        at
    }

    /// Spells out the tree that begins at `at`; returns where it ends.
    fn use_tree(&self, mut at: usize, prefix: &[String], paths: &mut Vec<Path>) -> usize {
        let mut segments = prefix.to_vec();
        let line = self.tokens.get(at).map_or(0, |token| token.line);
        loop {
            match self.text(at) {
                "::" => at += 1,
                "as" => at += 2,
                "{" => {
                    at += 1;
                    while !matches!(self.text(at), "}" | "") {
                        at = self.use_tree(at, &segments, paths);
                        at += usize::from(self.text(at) == ",");
                    }
                    return at + 1;
                }
                "," | "}" | ";" | "" => break,
                word => {
                    segments.push(word.to_owned());
                    at += 1;
                }
            }
        }
        paths.push(Path { segments, line });
        at
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The end of what begins at `at`, and the token that it is, if it is one.
fn lex(chars: &[char], at: usize) -> (usize, Option<String>) {
    let rest = &chars[at..];
    let until =
        |stop: fn(char) -> bool| at + rest.iter().position(|&c| stop(c)).unwrap_or(rest.len());
    let mark = |end: usize| (end, Some("\"".to_owned()));
    match rest {
        ['/', '/', ..] => (until(|c| c == '\n'), None),
        ['/', '*', ..] => (comment_end(chars, at), None),
        ['"', ..] => mark(quoted_end(chars, at + 1, '"')),
        ['b' | 'c', '"', ..] => mark(quoted_end(chars, at + 2, '"')),
        ['b', '\'', ..] => mark(quoted_end(chars, at + 2, '\'')),
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => mark(quoted_end(chars, at + 1, '\'')),
        ['\'', ..] => (at + 1, None),
        [':', ':', ..] => (at + 2, Some("::".to_owned())),
        [c, ..] if c.is_whitespace() => (at + 1, None),
        [c, ..] if c.is_alphabetic() || *c == '_' => {
            if let Some(end) = raw_string_end(chars, at) {
                return mark(end);
            }
            let end = until(|c| !c.is_alphanumeric() && c != '_');
            (end, Some(chars[at..end].iter().collect()))
        }
        [c, ..] if c.is_ascii_digit() => {
            let mut end = until(|c| !c.is_alphanumeric() && c != '_');
            if let ['.', digit, ..] = &chars[end..]
                && digit.is_ascii_digit()
            {
                end += 1 + chars[end + 1..].iter().take_while(|c| c.is_alphanumeric()).count();
            }
            (end, Some("0".to_owned()))
        }
        rest => (at + 1, rest.first().map(char::to_string)),
    }
}

fn comment_end(chars: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    loop {
        match &chars[at.min(chars.len())..] {
            ['/', '*', ..] => (at, depth) = (at + 2, depth + 1),
            ['*', '/', ..] if depth == 1 => return at + 2,
            ['*', '/', ..] => (at, depth) = (at + 2, depth - 1),
            [] => return chars.len(),
            [_, ..] => at += 1,
        }
    }
}

fn quoted_end(chars: &[char], mut at: usize, quote: char) -> usize {
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// The end of `r"…"`, `r#"…"#`, `br"…"` or `cr"…"`, if that is what begins at `at`.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let open = match &chars[at..] {
        ['r', '"' | '#', ..] => at + 1,
        ['b' | 'c', 'r', '"' | '#', ..] => at + 2,
        _ => return None,
    };
    let n_hashes = chars[open..].iter().take_while(|&&c| c == '#').count();
    let body = open + n_hashes + 1;
    (chars.get(body - 1) == Some(&'"')).then(|| {
        let closes = |end: &usize| {
            let hashes = chars[end + 1..].iter().take(n_hashes);
            chars[*end] == '"' && hashes.filter(|&&c| c == '#').count() == n_hashes
        };
        (body..chars.len()).find(closes).map_or(chars.len(), |end| end + 1 + n_hashes)
    })
}

/// Drops every item under `#[cfg(test)]`; returns the modules among them that are other files.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    const GATE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut modules, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        let rest = &tokens[at..];
        if !rest.iter().map(|token| token.text.as_str()).take(GATE.len()).eq(GATE) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let end = at + GATE.len() + item_len(&tokens[at + GATE.len()..]);
        let item = &tokens[at..end];
        if let [.., keyword, name, stop] = item
            && keyword.text == "mod"
            && stop.text == ";"
        {
            modules.push(name.text.clone());
        }
        at = end;
    }
    (kept, modules)
}

/// Up to the semicolon or the closing brace of an item and of the attributes before it.
fn item_len(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" if depth <= 1 => return at + 1,
            "}" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}
