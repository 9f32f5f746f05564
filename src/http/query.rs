//! The parameters of a request: `name=value` pairs, percent-encoded. Knows no parameter; handlers
//! do.

/// Pairs that a query may have.
const PARAMETERS_MAX: usize = 32;

/// The pairs of a query, each name once.
///
/// # Errors
/// A sentence for whom sent it.
pub(super) fn parse(query: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = decode(name).zip(decode(value));
        let (name, value) = decoded
            .ok_or_else(|| format!("parameter `{pair}` is not percent-encoded UTF-8; encode it"))?;
        if pairs.iter().any(|(known, _)| *known == name) {
            return Err(format!("parameter `{name}` is given twice; give it once"));
        }
        if pairs.len() == PARAMETERS_MAX {
            return Err(format!(
                "there are more than `{PARAMETERS_MAX}` parameters; leave some out"
            ));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The value of a hexadecimal digit.
pub(super) fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_what_cannot_be_is_refused_by_name() {
        let pairs = parse("a=b%2Cc+d&&e&f=%C3%A4=1").unwrap();
        let expect = [("a", "b,c d"), ("e", ""), ("f", "ä=1")];
        let seen: Vec<_> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(seen, expect);
        assert_eq!(parse("").unwrap(), []);
        for (query, expect) in [
            ("a=%zz", "`a=%zz`"),
            ("a=%f", "`a=%f`"),
            ("a=%ff", "`a=%ff`"),
            ("a=1&a=2", "`a` is given twice"),
        ] {
            assert!(parse(query).unwrap_err().contains(expect), "{query}");
        }
        let many: Vec<_> = (0..=PARAMETERS_MAX).map(|i| format!("p{i}=1")).collect();
        assert!(parse(&many.join("&")).unwrap_err().contains("more than `32`"));
    }
}
