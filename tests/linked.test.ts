/** Ditto in another project, which links a clone as README.md says. */
import { assertEquals } from "@std/assert";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { ROOT } from "./cli/process.ts";
import { TempDir } from "./model/tiny_checkpoint.ts";

const PROGRAM = `import { DittoError, loadModel } from "@ditto/ditto";
try {
  await loadModel("/no/such");
} catch (error) {
  console.log(error instanceof DittoError && error.code);
}
`;

/** What projects may say in `compilerOptions`; what they link is checked by that, too. */
const PROJECTS = {
  "the usual types": {},
  "loose types": { strict: false },
  "a browser's types and strict ones, but noImplicitAny": {
    lib: ["dom", "dom.iterable", "dom.asynciterable", "deno.ns", "deno.webgpu"],
    noImplicitAny: false,
    allowUnreachableCode: false,
    allowUnusedLabels: false,
    erasableSyntaxOnly: true,
    exactOptionalPropertyTypes: true,
    noFallthroughCasesInSwitch: true,
    noImplicitOverride: true,
    noImplicitReturns: true,
    noUncheckedIndexedAccess: true,
    noUnusedLocals: true,
    noUnusedParameters: true,
    verbatimModuleSyntax: true,
  },
};

// In Windows' Deno 2.9, what is linked from another drive finds none of its imports.
const ignore = Deno.build.os === "windows" &&
  tmpdir()[0]!.toLowerCase() !== fileURLToPath(ROOT)[0]!.toLowerCase();

for (const [name, compilerOptions] of Object.entries(PROJECTS)) {
  const title = `a project that links Ditto is checked and runs, with ${name}`;
  Deno.test({ name: title, ignore }, async () => {
    await using directory = await new TempDir().write({
      "deno.json": {
        links: [ROOT.href],
        imports: { "@ditto/ditto": "jsr:@ditto/ditto" },
        compilerOptions,
      },
      "main.ts": PROGRAM,
    });
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--check", "--allow-read", "main.ts"],
      cwd: directory.path,
    }).output();
    const decoder = new TextDecoder();
    assertEquals([code, decoder.decode(stdout)], [0, "other\n"], decoder.decode(stderr));
  });
}
