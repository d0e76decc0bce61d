#!/bin/sh
# Downloads the archives of actions into a directory, from which an image is built:
#
#   actions.sh DIR OWNER/NAME@REF ...
#
# REF is a tag, a branch or a whole commit; a tag goes before a branch of its name. GitHub's runner looks for
# DIR/OWNER_NAME/COMMIT.tar.gz (ActionManager.cs of actions/runner 2.336) and downloads what is not there, so an archive
# of a tag that has moved since is of no use, and does no harm. DIR/manifest.tsv has each reference and its commit.
# ACTIONS_GIT and ACTIONS_ARCHIVES name other servers than GitHub's, for tests.
set -eu
umask 022

dir=$1
shift
git=${ACTIONS_GIT:-https://github.com}
archives=${ACTIONS_ARCHIVES:-https://codeload.github.com}

fail() {
    echo "error: runner_image_build.actions has \`$reference\`: $1" >&2
    exit 1
}

# Prints the commit of a tag or branch. An annotated tag is an object of its own, which `^{}` follows.
commit() {
    if printf '%s\n' "$ref" | grep -qxE '[0-9a-f]{40}'; then
        echo "$ref"
        return
    fi
    # Nobody is there to answer if GitHub asks for a password, as it does for a repository that does not exist.
    found=$(GIT_TERMINAL_PROMPT=0 git ls-remote "$git/$action" "refs/tags/$ref" "refs/tags/$ref^{}" "refs/heads/$ref") ||
        fail "$git/$action cannot be read: a public repository is expected"
    for name in "refs/tags/$ref^{}" "refs/tags/$ref" "refs/heads/$ref"; do
        # Git also lists names that only end like this.
        sha=$(printf '%s\n' "$found" | awk -F '\t' -v name="$name" '$2 == name { print $1 }')
        if [ -n "$sha" ]; then
            echo "$sha"
            return
        fi
    done
    fail "$git/$action has no tag or branch \`$ref\`"
}

# The runner fails a job whose archive it cannot unpack, or that does not have one top folder.
check() {
    tar -tzf "$1" > "$dir/list" 2> "$dir/list.log" || fail "the archive of commit $sha is broken: $(tail -n 1 "$dir/list.log")"
    top=$(cut -d / -f 1 "$dir/list" | grep -v '^pax_global_header$' | sort -u)
    [ "$(printf '%s\n' "$top" | wc -l)" = 1 ] && [ -n "$top" ] || fail "the archive of commit $sha does not have one top folder"
    # The runner uses the names as GitHub spells them, and GitHub spells the folder so.
    if [ "$top" != "$name-$sha" ] && [ "$(printf %s "$top" | tr '[:upper:]' '[:lower:]')" = "$(printf %s "$name-$sha" | tr '[:upper:]' '[:lower:]')" ]; then
        fail "GitHub spells it \`${action%/*}/${top%-*}\`"
    fi
    rm "$dir/list" "$dir/list.log"
}

mkdir -p "$dir"
: > "$dir/manifest.tsv"
for reference; do
    printf '%s\n' "$reference" | grep -qxE '[A-Za-z0-9-]+/[A-Za-z0-9._-]+@[A-Za-z0-9._][A-Za-z0-9._/+-]*' ||
        fail "OWNER/NAME@REF is expected, without a path: an archive has the whole repository"
    action=${reference%%@*} ref=${reference#*@} name=${reference%%@*}
    name=${name#*/}
    sha=$(commit)
    archive="$dir/${action%/*}_$name/$sha.tar.gz"
    if [ ! -f "$archive" ]; then
        mkdir -p "${archive%/*}"
        curl --fail --silent --show-error --location --retry 3 --connect-timeout 30 --max-time 300 \
            --output "$archive" "$archives/$action/tar.gz/$sha" || fail "the archive of commit $sha cannot be downloaded"
        check "$archive"
    fi
    printf '%s\t%s\n' "$reference" "$sha" >> "$dir/manifest.tsv"
    echo "action $reference: commit $sha, $(wc -c < "$archive") bytes"
done
