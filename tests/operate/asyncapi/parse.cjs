// Reads an AsyncAPI document with AsyncAPI's own parser, which `NODE_PATH` leads to, and prints
// what it finds wrong as JSON, with the messages of each operation.
//   node parse.cjs FILE      (called by test_contracts.py)
const { Parser, fromFile } = require("@asyncapi/parser");

async function main(file) {
  const { document, diagnostics } = await fromFile(new Parser(), file).parse();
  const faults = diagnostics.map(({ severity, code, message, path }) => ({
    severity, code, message, path: path.join("/"),
  }));
  const operations = (document?.operations().all() ?? []).map((operation) => ({
    action: operation.action(),
    topics: operation.channels().all().map((channel) => channel.address()),
    messages: operation.messages().all().map((message) => message.title()),
  }));
  console.log(JSON.stringify({ faults, operations }));
}

main(process.argv[2]);
