// The page's modules fit together: a wrong name in an import would otherwise show in a browser only.
//
//     node --test crates/web/page/test/modules.test.mjs
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';

const MAX_LINES = 200;
const directory = new URL('..', import.meta.url);
const names = (await readdir(directory)).filter((name) => name.endsWith('.js'));
const texts = new Map(await Promise.all(names.map(async (name) => [name, await readFile(new URL(name, directory), 'utf8')])));

/** The imports of a module: pairs of a file and the imported names. */
function importsOf(name) {
  const found = texts.get(name).matchAll(/^import \{([^}]*)\} from '\.\/([^']+)';/gm);
  return [...found].map(([, list, file]) => [file, list.split(',').map((one) => one.trim()).filter(Boolean)]);
}
function exportsOf(name) {
  return new Set([...texts.get(name).matchAll(/^export (?:async )?(?:const|let|function|class) (\w+)/gm)].map(([, one]) => one));
}

test('each import names something that the other module exports, and that is used', () => {
  for (const name of names) {
    const text = texts.get(name);
    assert.equal(importsOf(name).length, [...text.matchAll(/^import /gm)].length, `${name}: an import in another form`);
    for (const [file, list] of importsOf(name)) {
      assert.ok(texts.has(file), `${name} imports ${file}`);
      for (const one of list) {
        assert.ok(exportsOf(file).has(one), `${name} imports ${one} of ${file}`);
        assert.ok(text.match(new RegExp(`\\b${one}\\b`, 'g')).length > 1, `${name} does not use ${one}`);
      }
    }
  }
});

test('main.js leads to every module, and no module leads to itself', () => {
  const reached = new Set();
  const visit = (name, path) => {
    assert.ok(!path.includes(name), `a cycle: ${[...path, name].join(' → ')}`);
    if (reached.has(name)) return;
    for (const [file] of importsOf(name)) visit(file, [...path, name]);
    reached.add(name);
  };
  visit('main.js', []);
  // The one script that is not a module.
  assert.deepEqual(names.filter((name) => !reached.has(name)), ['first-paint.js']);
});

test('index.html has each element that a module asks for by its id', async () => {
  const page = await readFile(new URL('index.html', directory), 'utf8');
  for (const [name, text] of texts) {
    for (const [, id] of text.matchAll(/byId\('([^']+)'\)/g)) assert.ok(page.includes(`id="${id}"`), `${name}: ${id}`);
  }
});

test('modules are short', () => {
  for (const [name, text] of texts) assert.ok(text.split('\n').length <= MAX_LINES + 1, `${name} is longer than ${MAX_LINES} lines`);
});
