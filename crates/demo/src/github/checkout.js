// Stands in for actions/checkout where the real one is not given: it fetches the commit of the run.
const { execFileSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const input = (name) => (process.env[`INPUT_${name.toUpperCase()}`] || '').trim();
const env = process.env;
const repository = input('repository') || env.GITHUB_REPOSITORY;
const isOwn = repository.toLowerCase() === env.GITHUB_REPOSITORY.toLowerCase();
const to = path.resolve(env.GITHUB_WORKSPACE, input('path') || '.');
if (!(to + path.sep).startsWith(path.resolve(env.GITHUB_WORKSPACE) + path.sep)) {
  throw new Error(`path ${input('path')} is outside of the workspace`);
}
const url = `${env.GITHUB_SERVER_URL}/${repository}`;
const login = `AUTHORIZATION: basic ${Buffer.from(`x-access-token:${input('token')}`).toString('base64')}`;
const git = (...args) => execFileSync('git', ['-C', to, ...args], { stdio: ['ignore', 'pipe', 'inherit'] }).toString().trim();

console.log('This is the stand-in of ecsrunner for actions/checkout. --action gives the real one.');
fs.mkdirSync(to, { recursive: true });
if (!fs.existsSync(path.join(to, '.git'))) {
  for (const entry of fs.readdirSync(to)) fs.rmSync(path.join(to, entry), { recursive: true });
  git('init', '--quiet', '--initial-branch=main');
  git('remote', 'add', 'origin', url);
} else if (input('clean') !== 'false') {
  git('clean', '-ffdx', '--quiet');
  git('reset', '--hard', '--quiet');
}

const depth = Number(input('fetch-depth') || 1);
const ref = input('ref') || (isOwn ? env.GITHUB_REF : 'HEAD');
const isCommit = /^[0-9a-f]{40}$/.test(ref);
const commit = isCommit ? ref : isOwn && ref === env.GITHUB_REF ? env.GITHUB_SHA : '';
const branch = /^refs\/heads\//.test(ref) ? ref.slice('refs/heads/'.length) : '';
const flags = ['-c', 'protocol.version=2', 'fetch', '--quiet', '--prune'];
const wants = depth > 0 ? [`--depth=${depth}`, commit || ref] : ['+refs/heads/*:refs/remotes/origin/*', '+refs/tags/*:refs/tags/*', commit || ref];
git('-c', `http.${env.GITHUB_SERVER_URL}/.extraheader=${login}`, ...flags, input('fetch-tags') === 'true' ? '--tags' : '--no-tags', 'origin', ...wants);
const found = commit || git('rev-parse', 'FETCH_HEAD');
if (branch) {
  git('update-ref', `refs/remotes/origin/${branch}`, found);
  git('checkout', '--quiet', '--force', '-B', branch, found);
} else {
  git('checkout', '--quiet', '--force', '--detach', found);
}
if (input('persist-credentials') !== 'false') {
  git('config', '--local', `http.${env.GITHUB_SERVER_URL}/.extraheader`, login);
}
const at = git('rev-parse', 'HEAD');
console.log(`checked out ${repository} at ${at}`);
fs.appendFileSync(env.GITHUB_OUTPUT, `ref=${ref}\ncommit=${at}\n`);
