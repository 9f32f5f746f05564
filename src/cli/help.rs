//! What the help pages say below the options: examples and exit codes. Text alone. Used by `cli`.

/// Exit codes, for the end of every help page.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed
  64  bad usage or configuration";

pub(super) const TOP_EXAMPLES: &str = "\
Examples:
  lifetide demo --duration 20s
      see it work, with nothing installed
  lifetide replay --input orders.csv --map customer_id=customer,occurred_at=date,amount=total
      score an order history without Kafka
  lifetide explain --input orders.csv --customer c-1001
      see why a customer has their score, and what would change it when
  lifetide fit --input orders.csv --output model.toml
      fit a model to an order history
  lifetide evaluate --input orders.csv --split 2026-03-31 --html report.html
      see how far such a model can be trusted on that history
  lifetide init --brokers kafka-1:9092
      write a configuration for a cluster
  lifetide check --config lifetide.toml --create-topics
      prepare a cluster, and hear what is wrong with it
  lifetide run --config lifetide.toml
      process events, exactly once, until SIGTERM
  lifetide import --config lifetide.toml --input orders.csv
      load years of orders into the input topic
  lifetide redrive --config lifetide.toml --reason unknown_currency
      see which dead letters would go through again

Exit codes:
  0   done
  1   failed
  64  bad usage or configuration";

pub(super) const DEMO_EXAMPLES: &str = "\
Examples:
  lifetide demo --duration 20s
  lifetide demo --seed 7 --listen 127.0.0.1:9500
      another shop, on another port; meanwhile:
      curl http://127.0.0.1:9500/customers/c000000

The broker is librdkafka's mock inside this process: it shows what Lifetide does, and proves
nothing about durability or exactness.

Exit codes:
  0   done
  1   failed
  64  bad usage or configuration";

pub(super) const LOAD_EXAMPLES: &str = "\
Examples:
  lifetide load --config lifetide.toml
  lifetide load --config lifetide.toml --rate 5000 --duration 1m

The events are dated from two years ago to now and are no test data that could be told apart: send
them to a cluster that is there for it. A partition whose newest event is dated now takes them for
late ones. Ctrl-C ends it.

Exit codes:
  0   done
  1   failed
  64  bad usage or configuration";

pub(super) const RUN_EXAMPLES: &str = "\
Examples:
  lifetide run --config lifetide.toml
  lifetide run --config lifetide.toml --set processing.workers=4
  LIFETIDE__KAFKA__BROKERS=kafka-1:9092 lifetide run --config lifetide.toml
  lifetide run --config lifetide.toml --accept-loss
      once, after a start was refused and its sentence has been read

It stops within 30 s of SIGTERM or Ctrl-C, its last transaction committed or aborted, and keeps its
partitions for a restart within `kafka.session_timeout_ms`. SIGUSR1 stops it for good: others have
its partitions at once.

Exit codes:
  0   stopped as asked
  1   failed; a restart goes on where the last commit ended
  64  bad usage or configuration";

pub(super) const CHECK_EXAMPLES: &str = "\
Examples:
  lifetide check --config lifetide.toml
  lifetide check --config lifetide.toml --create-topics --partitions 24
  lifetide check --config lifetide.toml --format json
      the same findings with `schema` `lifetide.check/1`, for programs

Topics that exist, their settings and their committed records stay as they are. NO_COLOR=1 takes the
colours off a terminal.

Exit codes:
  0   nothing is wrong, or warnings only
  1   something must be mended first
  64  bad usage or configuration";

pub(super) const CONFIG_EXAMPLES: &str = "\
Examples:
  lifetide config
  lifetide config --config lifetide.toml --set processing.workers=4
  lifetide config --config lifetide.toml > whole.toml
      the same configuration in one file; secrets are masked and commented out
  lifetide config --config lifetide.toml --format json
      a list of key, value and origin

Exit codes:
  0   done
  1   failed
  64  bad usage or configuration";

pub(super) const INIT_EXAMPLES: &str = "\
Examples:
  lifetide init --brokers 127.0.0.1:9092
  lifetide init --brokers kafka-1:9093,kafka-2:9093 --output shop.toml

It asks the brokers which topics there are, proposes the input among them, and writes what people
change first. Without an answer within 10 s it writes the defaults and says so. A cluster that wants
TLS or a login is asked with what the environment holds, as in
LIFETIDE__KAFKA__CLIENT__SASL_PASSWORD; no secret is written.

Exit codes:
  0   written
  1   failed
  64  bad usage, such as a file that exists";

pub(super) const REPLAY_EXAMPLES: &str = "\
Examples:
  lifetide replay --input orders.csv --scores scores.jsonl
  lifetide replay --input orders.csv --map customer_id=id,occurred_at=date,amount=total \\
      --until 2026-06-30 --model model.toml --scores scores.jsonl --signals signals.jsonl
  lifetide replay --input events.jsonl --against topic-scores.jsonl
      recount what a topic holds, and print the differences
  lifetide replay --input orders.csv --model model.toml --compare 2026-03-01
      what a price rise on that day cost and brought

Exit codes:
  0   done
  1   failed: a row under --strict, a difference under --against, a file
  64  bad usage or configuration";

pub(super) const EXPLAIN_EXAMPLES: &str = "\
Examples:
  lifetide explain --input orders.csv --customer c-1001 --model model.toml
  lifetide explain --input orders.csv --map customer_id=id,occurred_at=date,amount=total \\
      --until 2026-06-30 --customer c-1001 --json

Exit codes:
  0   done
  1   failed: no such customer, a file
  64  bad usage or configuration";

pub(super) const FIT_EXAMPLES: &str = "\
Examples:
  lifetide fit --input orders.csv --map customer_id=id,occurred_at=date,amount=total \\
      --set processing.currency=EUR --output model.toml
  lifetide fit --input orders.csv --name pareto-nbd --until 2026-06-30
      print the parameters of one model as of a day, and write nothing
  lifetide fit --topic --config lifetide.toml --output model.toml
      fit to what lies in the input topic

Exit codes:
  0   fitted, if with warnings
  1   failed: too few customers who bought again, a row under --strict, a file, the brokers
  64  bad usage or configuration";

pub(super) const EVALUATE_EXAMPLES: &str = "\
Examples:
  lifetide evaluate --input orders.csv --map customer_id=id,occurred_at=date,amount=total \\
      --split 2026-03-31 --html report.html
  lifetide evaluate --input orders.csv --split 2026-03-31 --until 2026-06-30 \\
      --name pareto-nbd --json figures.json

Choose a split that leaves both sides at least some months: nothing after it is seen by the fit.

Exit codes:
  0   judged, if with warnings
  1   failed: nothing before or after the split, a row under --strict, a file
  64  bad usage or configuration";

pub(super) const IMPORT_EXAMPLES: &str = "\
Examples:
  lifetide import --config lifetide.toml --input orders.csv \\
      --map customer_id=id,occurred_at=date,amount=total
  lifetide import --config lifetide.toml --input orders.csv --until 2026-06-30 --strict

The events go in order of time; set `churn.signals_from` to now before the processor reads them.
Import before live traffic: into a topic that is ahead of the file they are late, and it warns.
Stopped or killed, the same command goes on where the last commit ended; finished, it sends nothing.

Exit codes:
  0   all is in the topic
  1   failed or stopped; the same command goes on there
  64  bad usage or configuration";

pub(super) const REDRIVE_EXAMPLES: &str = "\
Examples:
  lifetide redrive --config lifetide.toml
      count what could be sent again, and show why it was refused
  lifetide redrive --config lifetide.toml --reason unknown_currency --reason future --send
  lifetide redrive --config lifetide.toml --partition 3 --since 2026-05-01T00:00:00Z --send

A letter is sent once, whatever the filters of earlier runs were. Those that this configuration
would refuse again, those of erased customers, and those that were cut to fit a message, stay where
they are.

Exit codes:
  0   done
  1   failed or stopped; the same command sends the rest
  64  bad usage or configuration";
