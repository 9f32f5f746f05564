//! Which module may import what, as a table, and what the pure modules may not even name.
//! It must not read files: `main.rs` holds the table against the source.

/// The modules that turn events into records: values in, values out.
pub(crate) const PURE: &[&str] = &[
    "calendar",
    "money",
    "event",
    "customer",
    "clv",
    "fit",
    "evaluation",
    "churn",
    "population",
    "record",
    "pipeline",
    "explanation",
];

/// What one top-level module may import. Its own paths need no entry.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) module: &'static str,
    pub(crate) modules: &'static [&'static [&'static str]],
    pub(crate) crates: &'static [&'static str],
    pub(crate) std: Std,
}

/// What of the standard library.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Std {
    /// Only values: see [`PURE_STD`].
    Pure,
    /// Everything but the paths named.
    Without(&'static [&'static str]),
}

/// The paths of the standard library that compute and do nothing else.
pub(crate) const PURE_STD: &[&str] = &[
    "array",
    "borrow",
    "cell::OnceCell",
    "cell::RefCell",
    "cmp",
    "collections",
    "convert",
    "error",
    "f64",
    "fmt",
    "hash",
    "iter",
    "marker",
    "mem",
    "num",
    "ops",
    "rc",
    "result",
    "slice",
    "str",
    "string",
    "sync::Arc",
    "vec",
];

/// Words that bring order of hashing, shared state or a clock into a pure module.
pub(crate) const PURE_BANNED_WORDS: &[&str] = &[
    "HashMap",
    "HashSet",
    "thread_local",
    "SystemTime",
    "Instant",
    "print",
    "println",
    "eprintln",
];

/// Functions of other crates that read a clock or the machine's settings: `Timestamp::now`.
pub(crate) const PURE_BANNED_FUNCTIONS: &[&str] = &["now", "system"];

/// Files of pure modules that may hold a hash map because they only ever look a key up in it.
pub(crate) const HASH_LOOK_UP_FILES: &[&str] = &[];

/// Float methods that differ between platforms in the last bit; the `libm` crate has them all.
pub(crate) const PLATFORM_FLOAT_METHODS: &[&str] = &[
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "exp",
    "exp2", "exp_m1", "gamma", "hypot", "ln", "ln_1p", "ln_gamma", "log", "log10", "log2", "powf",
    "powi", "sin", "sin_cos", "sinh", "tan", "tanh",
];

const PURE_CRATES: &[&str] = &[
    "compact_str",
    "itoa",
    "jiff",
    "libm",
    "rust_decimal",
    "serde",
    "serde_json",
    "smallvec",
    "thiserror",
    "xxhash_rust",
];

const NO_WORLD: Std = Std::Without(&["env", "fs", "io", "net", "process", "thread"]);
const NO_SOCKETS: Std = Std::Without(&["net", "process"]);
const ANY: Std = Std::Without(&[]);

const fn pure(module: &'static str, modules: &'static [&'static [&'static str]]) -> Row {
    Row { module, modules, crates: PURE_CRATES, std: Std::Pure }
}

/// Who may import what. A module without a row fails the test.
pub(crate) const ROWS: &[Row] = &[
    pure("calendar", &[]),
    pure("money", &[]),
    pure("event", &[&["calendar", "money"]]),
    pure("clv", &[&["calendar", "money"]]),
    pure("fit", &[&["calendar", "money", "clv", "customer"]]),
    pure("evaluation", &[&["calendar", "money", "clv", "customer"]]),
    pure("customer", &[&["calendar", "money", "event", "clv"]]),
    pure("churn", &[&["calendar", "money", "event", "clv", "customer"]]),
    pure("population", &[&["churn"]]),
    pure("record", &[&["calendar", "money", "event", "clv", "customer", "churn"]]),
    pure("pipeline", &[PURE]),
    pure("explanation", &[PURE]),
    Row {
        module: "config",
        modules: &[PURE, &["logs"]],
        crates: &["jiff", "serde", "thiserror", "toml", "rust_decimal"],
        std: Std::Without(&["net::TcpStream", "process", "thread"]),
    },
    Row {
        module: "store",
        modules: &[PURE],
        crates: &["dashmap", "rustc_hash", "xxhash_rust"],
        std: NO_WORLD,
    },
    // It reads its own process's memory and processor time.
    Row { module: "metrics", modules: &[PURE], crates: &["prometheus"], std: NO_SOCKETS },
    Row {
        module: "lifecycle",
        modules: &[&["metrics"]],
        crates: &["crossbeam_channel", "thiserror", "tokio", "tracing"],
        std: Std::Without(&["fs", "net"]),
    },
    // Between the reading thread of `kafka` and the tasks of `http`; it knows neither.
    Row {
        module: "broadcast",
        modules: &[],
        crates: &["crossbeam_channel", "thiserror", "tokio"],
        std: NO_WORLD,
    },
    Row {
        module: "logs",
        modules: &[],
        crates: &["jiff", "tracing", "tracing_subscriber"],
        std: Std::Without(&["fs", "net", "process"]),
    },
    // It reads the files that may change.
    Row {
        module: "reload",
        modules: &[PURE, &["config", "http", "lifecycle", "logs", "metrics", "models", "plan"]],
        crates: &["anyhow", "tokio", "tracing", "xxhash_rust"],
        std: NO_SOCKETS,
    },
    Row {
        module: "engine",
        modules: &[PURE, &["config", "store", "metrics", "lifecycle"]],
        crates: &[
            "compact_str",
            "crossbeam_channel",
            "rustc_hash",
            "thiserror",
            "tracing",
            "xxhash_rust",
        ],
        std: NO_SOCKETS,
    },
    Row {
        module: "kafka",
        modules: &[
            PURE,
            &["broadcast", "config", "store", "metrics", "lifecycle", "engine", "models"],
        ],
        crates: &[
            "crossbeam_channel",
            "rdkafka",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
            "tracing",
        ],
        std: NO_SOCKETS,
    },
    Row { module: "models", modules: &[PURE], crates: &[], std: NO_SOCKETS },
    Row {
        module: "http",
        modules: &[PURE, &["broadcast", "config", "store", "metrics", "lifecycle", "models"]],
        crates: &["axum", "futures_util", "serde", "serde_json", "thiserror", "tokio", "tracing"],
        std: ANY,
    },
    Row {
        module: "sim",
        modules: &[PURE, &["config", "dice", "engine", "metrics", "plan", "store"]],
        crates: &["crossbeam_channel", "serde_json"],
        std: NO_SOCKETS,
    },
    Row {
        module: "history",
        modules: &[&["calendar", "money", "event"]],
        crates: &["csv", "jiff", "serde", "serde_json", "thiserror", "xxhash_rust"],
        std: Std::Without(&["env", "fs", "net", "process", "thread", "time"]),
    },
    Row {
        module: "replay",
        modules: &[PURE],
        crates: &["compact_str"],
        std: Std::Without(&["env", "fs", "io", "net", "process", "thread", "time"]),
    },
    Row {
        module: "dice",
        modules: &[],
        crates: &["libm"],
        std: Std::Without(&["env", "fs", "io", "net", "process", "thread", "time"]),
    },
    Row {
        module: "calibration",
        modules: &[PURE, &["dice"]],
        crates: &["libm"],
        std: Std::Without(&["env", "fs", "io", "net", "process", "thread", "time"]),
    },
    // The simulated shop; what runs it is in `commands`.
    Row {
        module: "demo",
        modules: &[PURE, &["dice"]],
        crates: &["jiff", "libm", "serde_json", "xxhash_rust"],
        std: Std::Without(&["env", "fs", "io", "net", "process", "thread", "time"]),
    },
    // It reads the model file.
    Row {
        module: "plan",
        modules: &[PURE, &["config"]],
        crates: &["anyhow", "toml"],
        std: NO_SOCKETS,
    },
    Row {
        module: "lookup",
        modules: &[PURE, &["http", "lifecycle", "store"]],
        crates: &["tracing"],
        std: NO_WORLD,
    },
    Row {
        module: "service",
        modules: &[
            PURE,
            &[
                "broadcast",
                "config",
                "engine",
                "http",
                "kafka",
                "lifecycle",
                "lookup",
                "metrics",
                "models",
                "plan",
            ],
        ],
        crates: &["anyhow", "tokio", "tracing"],
        std: NO_SOCKETS,
    },
    Row {
        module: "cli",
        modules: &[&["calibration", "event", "history", "logs"]],
        crates: &["clap", "clap_complete", "jiff"],
        std: Std::Without(&["fs", "io", "process", "thread"]),
    },
    Row {
        module: "commands",
        modules: &[
            PURE,
            &["config", "store", "metrics", "lifecycle", "engine", "kafka", "http", "sim"],
            &["calibration", "cli", "demo", "dice", "history", "logs", "plan", "reload"],
            &["replay", "service"],
        ],
        crates: &[
            "anyhow",
            "clap",
            "clap_complete",
            "compact_str",
            "crossbeam_channel",
            "csv",
            "indicatif",
            "jiff",
            "rdkafka",
            "rust_decimal",
            "serde",
            "serde_json",
            "terminal_size",
            "thiserror",
            "tokio",
            "toml",
            "tracing",
            "tracing_subscriber",
        ],
        std: ANY,
    },
    Row {
        module: "main",
        modules: &[&["cli", "commands", "logs"]],
        crates: &["anyhow", "clap", "mimalloc"],
        std: Std::Without(&["fs", "net", "thread", "collections"]),
    },
    Row { module: "lib", modules: &[], crates: &[], std: Std::Pure },
];
