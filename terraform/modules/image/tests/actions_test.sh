#!/bin/bash
# Runs actions.sh against a repository and archives on loopback: a server of files, which Git reads too.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
mkdir "$work/git" "$work/archives"
python3 -u -m http.server --bind 127.0.0.1 --directory "$work" 0 > "$work/server" 2>&1 &
server=$!
trap 'kill "$server"; rm -rf "$work"' EXIT
until port=$(grep -oEm1 "port [0-9]+" "$work/server" 2> /dev/null); do kill -0 "$server"; sleep 0.05; done
url="http://127.0.0.1:${port#port }"

# The action acme/tool: a lightweight and an annotated tag, a branch, and a tag with the name of a branch.
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b GIT_CONFIG_GLOBAL=/dev/null
repository() { git -C "$work/tool" "$@"; }
git init --quiet --initial-branch main "$work/tool"
commit() {
    echo "$1" > "$work/tool/action.yml"
    repository add . && repository commit --quiet --message "$1"
    repository rev-parse HEAD
}
first=$(commit one)
repository tag v1
repository tag both
second=$(commit two)
repository tag --annotate --message two v2
repository branch releases/v2
repository branch both
repository branch other/refs/tags/v9
git clone --quiet --bare "$work/tool" "$work/git/acme/tool"
git -C "$work/git/acme/tool" update-server-info
archive() { # name sha [folder]
    mkdir -p "$work/archives/acme/$1/legacy.tar.gz"
    repository archive --format tar.gz --prefix "${3:-acme-$1-${2:0:7}}/" --output "$work/archives/acme/$1/legacy.tar.gz/$2" "$2"
}
archive tool "$first"
archive tool "$second"

download() {
    rm -rf "$work/dir"
    download_again "$@"
}
download_again() {
    code=0
    ACTIONS_GIT="$url/git" ACTIONS_ARCHIVES="$url/archives" sh "$here/../actions.sh" ${option:-} "$work/dir" "$@" > "$work/out" 2>&1 || code=$?
}
failed() { echo "FAILED: $test: $1"; cat "$work/out"; exit 1; }
works() { [ "$code" = 0 ] || failed "exit code $code"; }
fails() { [ "$code" != 0 ] || failed "it succeeded"; grep -qF -- "$1" "$work/out" || failed "not said: $1"; }
holds() { [ "$(tar -xzOf "$work/dir/acme_tool/$1.tar.gz" "acme-tool-${1:0:7}/action.yml")" = "$2" ] || failed "the archive of $1 differs"; }

test="tags, branches and commits are resolved, and an annotated tag is its commit"
download acme/tool@v1 acme/tool@v2 acme/tool@releases/v2 "acme/tool@$first"
works
holds "$first" one
holds "$second" two
[ "$(cat "$work/dir/manifest.tsv")" = "$(printf 'acme/tool@v1\t%s\nacme/tool@v2\t%s\nacme/tool@releases/v2\t%s\nacme/tool@%s\t%s' "$first" "$second" "$second" "$first" "$first")" ] || failed "$(cat "$work/dir/manifest.tsv")"
[ "$(cd "$work/dir" && find . -type f | sort | tr '\n' ' ')" = "$(printf '%s\n' "./acme_tool/$first.tar.gz" "./acme_tool/$second.tar.gz" | sort | tr '\n' ' ')./manifest.tsv " ] || failed "other files: $(find "$work/dir" -type f)"
grep -qF "action acme/tool@v2: commit $second, " "$work/out" || failed "it does not tell the commit"

test="every user can read the archives"
[ "$(stat -c %a "$work/dir/acme_tool" "$work/dir/acme_tool/$first.tar.gz" | tr '\n' ' ')" = "755 644 " ] || failed "modes differ"

test="a tag goes before a branch of its name"
download acme/tool@both
works
grep -q "$first" "$work/dir/manifest.tsv" || failed "the branch was taken"

test="a reference that does not exist fails with its name"
download acme/tool@v1 acme/tool@v7
fails "error: runner_image_build.actions has \`acme/tool@v7\`: $url/git/acme/tool has no tag or branch \`v7\`"

test="a branch whose name only ends like the tag is another one"
download acme/tool@v9
fails 'has no tag or branch `v9`'

test="a repository that does not exist fails with its name"
download acme/none@v1
fails "has \`acme/none@v1\`: $url/git/acme/none cannot be read: a public repository is expected"

test="a commit that does not exist fails with its name"
download acme/tool@0123456789012345678901234567890123456789
fails 'the archive of commit 0123456789012345678901234567890123456789 cannot be downloaded'

test="an archive that is broken is not used"
cp "$work/archives/acme/tool/legacy.tar.gz/$first" "$work/aside"
head -c 100 "$work/aside" > "$work/archives/acme/tool/legacy.tar.gz/$first"
download acme/tool@v1
fails "has \`acme/tool@v1\`: the archive of commit $first is broken"
cp "$work/aside" "$work/archives/acme/tool/legacy.tar.gz/$first"

test="a second run does not take what a failed one has left"
head -c 100 "$work/aside" > "$work/archives/acme/tool/legacy.tar.gz/$first"
download acme/tool@v1
download_again acme/tool@v1
fails "has \`acme/tool@v1\`: the archive of commit $first is broken"
cp "$work/aside" "$work/archives/acme/tool/legacy.tar.gz/$first"
download_again acme/tool@v1
works
holds "$first" one

test="a repository that cannot be read is asked three times"
mkdir "$work/bin"
git=$(command -v git)
printf '#!/bin/sh\necho try >> "%s"\n[ "$(wc -l < "%s")" -ge "%s" ] || exit 128\nexec "%s" "$@"\n' "$work/tries" "$work/tries" '$TRIES' "$git" |
    sed "s/'//g" > "$work/bin/git"
chmod +x "$work/bin/git"
PATH="$work/bin:$PATH" TRIES=3 download acme/tool@v1
works
rm "$work/tries"
PATH="$work/bin:$PATH" TRIES=4 download acme/tool@v1
fails "cannot be read: a public repository is expected"
[ "$(wc -l < "$work/tries")" = 3 ] || failed "asked $(wc -l < "$work/tries") times"

test="with --leave-out the others are there, and the manifest tells why one is not"
option=--leave-out download acme/none@v1 acme/tool@v7 acme/tool@v1
works
holds "$first" one
grep -qF "warning: runner_image_build.actions has \`acme/none@v1\`, which is left out: $url/git/acme/none cannot be read" "$work/out" || failed "no warning"
[ "$(cut -f 1,2 "$work/dir/manifest.tsv")" = "$(printf 'acme/none@v1\t-\nacme/tool@v7\t-\nacme/tool@v1\t%s' "$first")" ] || failed "$(cat "$work/dir/manifest.tsv")"
[ "$(find "$work/dir" -mindepth 1 -maxdepth 1 | sort | tr '\n' ' ')" = "$work/dir/acme_tool $work/dir/manifest.tsv " ] || failed "other files: $(find "$work/dir")"

test="an archive with two top folders is not used"
mkdir "$work/two" "$work/two/a" "$work/two/b"
tar -czf "$work/archives/acme/tool/legacy.tar.gz/$first" -C "$work/two" a b
download acme/tool@v1
fails 'does not have one top folder'

test="an owner or a name that GitHub spells otherwise is named"
archive tool "$first" "acme-Tool-${first:0:7}"
download acme/tool@v1
fails 'GitHub spells it `acme/Tool`'
archive tool "$first" "Acme-tool-${first:0:7}"
download acme/tool@v1
fails 'GitHub spells it `Acme/tool`'

test="a repository with a new name is refused"
for folder in "acme-tools-${first:0:7}" "acme-tool-kit-${first:0:7}" "other-tool-${first:0:7}"; do
    archive tool "$first" "$folder"
    download acme/tool@v1
    fails "the folder of its archive is \`$folder\`, not \`acme-tool-\` and the commit"
done

test="what is no reference is refused"
for wrong in acme/tool acme/tool/path@v1 acme/tool@ 'acme/tool@v1 --upload-pack=x' acme/tool@-v1 'acme/tool@v*' ./local@v1; do
    download "$wrong"
    fails "has \`$wrong\`: OWNER/NAME@REF is expected"
done

echo "15 passed"
