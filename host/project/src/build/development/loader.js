// Takes the author's bundle with the configuration: what `plugin test --watch` runs in place of the component.
let plugin;

// `have` holds the capabilities, by the names under which the bundle imports them.
const load = (have) => (text) => {
  const { source, config } = JSON.parse(text);
  const made = { exports: {} };
  const get = (name) => {
    if (name in have) return have[name];
    throw `portcullis:unfit\nthe plugin imports ${name}`;
  };
  try {
    (0, eval)(`(function (require, module, exports) {${source}\n})`)(get, made, made.exports);
  } catch (error) {
    if (!(error instanceof Error)) throw String(error).startsWith("portcullis:") ? error : `portcullis:broken\n${error}`;
    // The place in the bundle is one in the file that esbuild left.
    const place = String(error.stack ?? "").split("\n").filter((line) => line.includes("<input>"));
    const trace = place.map((line) => line.replace("<input>", "build/development/plugin.cjs"));
    throw [`portcullis:broken\n${error.name}: ${error.message}`, ...trace].join("\n").toWellFormed();
  }
  plugin = made.exports;
  return plugin.configure(config);
};

const ask = (name) => (...given) => plugin[name](...given);
