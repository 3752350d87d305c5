// Bundles the page into dist/: `make web`, which puts the models and what is known of them into generated/ first.

import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const runtime = "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded";
const { models, pages } = JSON.parse(readFileSync(here("generated/models.json")));

const settings = {
  bundle: true,
  minify: true,
  format: "esm",
  target: ["chrome107", "safari16.4", "firefox113"],
  // The runtime's own script stays a file: its threads load it again.
  conditions: ["onnxruntime-web-use-extern-wasm"],
  outdir: here("dist"),
  legalComments: "eof",
};

rmSync(here("dist"), { recursive: true, force: true });
mkdirSync(here("dist"));
cpSync(here("static"), here("dist"), { recursive: true });
for (const kind of ["mjs", "wasm"]) cpSync(here(`${runtime}.${kind}`), here(`dist/ort-wasm-simd-threaded.${kind}`));
for (const { file } of [...models, pages]) cpSync(here(`generated/${file}`), here(`dist/${file}`));
cpSync(here("../NOTICE"), here("dist/NOTICE.txt"));
await build({ ...settings, entryPoints: [here("src/app.js"), here("src/worker.js")] });

const files = readdirSync(here("dist")).sort();
const digest = createHash("sha256");
for (const file of files) digest.update(file).update(readFileSync(here(`dist/${file}`)));
const kept = ["./", ...files.filter((file) => file !== "index.html" && file !== "NOTICE.txt")];
await build({
  ...settings,
  entryPoints: [here("src/sw.js")],
  define: { FILES: JSON.stringify(kept), VERSION: JSON.stringify(digest.digest("hex").slice(0, 12)) },
});
