// Builds what the page stands on from the lock: node build.js [FOLDER [FOLDER]], the libraries' folder and the tests' one.
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, "../..");
const vendor = path.resolve(process.argv[2] ?? path.join(root, "service/page/vendor"));
const forTests = path.resolve(process.argv[3] ?? path.join(root, "tests/page/vendor"));
const from = (...parts) => path.join(here, "node_modules", ...parts);

await mkdir(vendor, { recursive: true });
await mkdir(forTests, { recursive: true });
const built = await build({
  stdin: {
    contents: 'export { default as MarkdownIt } from "markdown-it";\nexport { default as DOMPurify } from "dompurify";\n',
    resolveDir: here,
  },
  bundle: true,
  charset: "utf8",
  format: "esm",
  legalComments: "none",
  metafile: true,
  minify: true,
  outfile: path.join(vendor, "markdown.js"),
  target: "es2022",
});

const packages = [...new Set(Object.keys(built.metafile.inputs).flatMap((name) => name.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1] ?? []))];
const notices = [];
for (const name of packages.sort()) {
  const { version, license } = JSON.parse(await readFile(from(name, "package.json"), "utf8"));
  const text = await licence(name);
  notices.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
}
await writeFile(path.join(vendor, "LICENSES.txt"), notices.join(`\n${"-".repeat(78)}\n\n`));
await copyFile(from("axe-core/axe.min.js"), path.join(forTests, "axe.min.js"));
await copyFile(from("axe-core/LICENSE"), path.join(forTests, "axe.LICENSE.txt"));

async function licence(name) {
  for (const file of ["LICENSE", "LICENSE.txt", "LICENSE-MIT.txt", "LICENSE.md"]) {
    try {
      return await readFile(from(name, file), "utf8");
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
  }
  throw new Error(`${name} comes without a licence`);
}
