#!/bin/sh
# Downloads the archives of actions into a directory, from which an image is built:
#
#   actions.sh [--leave-out] DIR OWNER/NAME@REF ...
#
# REF is a tag, a branch or a whole commit; a tag goes before a branch of its name. GitHub's runner looks for
# DIR/OWNER_NAME/COMMIT.tar.gz (ActionManager.cs of actions/runner 2.336) and downloads what is not there, so an archive
# of a tag that has moved since is of no use, and does no harm. DIR/manifest.tsv has each reference and its commit.
#
# The first action that cannot be had is an error. With --leave-out it is a warning, and DIR/manifest.tsv has `-` and the
# reason in place of its commit: jobs download that action, which is better than no new image.
#
# ACTIONS_GIT and ACTIONS_ARCHIVES name other servers than GitHub's, for tests.
set -eu
umask 022

lenient=
if [ "$1" = --leave-out ]; then
    lenient=1
    shift
fi
dir=$1
shift
git=${ACTIONS_GIT:-https://github.com}
archives=${ACTIONS_ARCHIVES:-https://codeload.github.com}

fail() {
    if [ -n "$lenient" ]; then
        echo "warning: runner_image_build.actions has \`$reference\`, which is left out: $1" >&2
        printf '%s\t-\t%s\n' "$reference" "$1" >> "$dir/manifest.tsv"
    else
        echo "error: runner_image_build.actions has \`$reference\`: $1" >&2
    fi
    exit 1
}

# Prints what the repository has of this name. A network fails at times, so it is asked three times.
references() {
    for attempt in 1 2 3; do
        # Without it Git would ask for a password, as GitHub does for a repository that does not exist.
        if GIT_TERMINAL_PROMPT=0 git ls-remote "$git/$action" "refs/tags/$ref" "refs/tags/$ref^{}" "refs/heads/$ref"; then
            return
        fi
        [ "$attempt" = 3 ] || sleep 1
    done
    return 1
}

# Finds the commit of a tag or branch. An annotated tag is an object of its own, which `^{}` follows.
find_commit() {
    sha=$ref
    if printf '%s\n' "$ref" | grep -qxE '[0-9a-f]{40}'; then return; fi
    found=$(references) || fail "$git/$action cannot be read: a public repository is expected"
    for name_of in "refs/tags/$ref^{}" "refs/tags/$ref" "refs/heads/$ref"; do
        # Git also lists names that only end like this.
        sha=$(printf '%s\n' "$found" | awk -F '\t' -v name="$name_of" '$2 == name { print $1 }')
        if [ -n "$sha" ]; then return; fi
    done
    fail "$git/$action has no tag or branch \`$ref\`"
}

lower() { printf %s "$1" | tr '[:upper:]' '[:lower:]'; }

# The runner fails a job whose archive it cannot unpack, or that does not have one top folder.
check() {
    tar -tzf "$1" > "$1.list" 2> "$1.log" || fail "the archive of commit $sha is broken: $(tail -n 1 "$1.log")"
    top=$(cut -d / -f 1 "$1.list" | grep -v '^pax_global_header$' | sort -u)
    rm "$1.list" "$1.log"
    [ "$(printf '%s\n' "$top" | wc -l)" = 1 ] && [ -n "$top" ] || fail "the archive of commit $sha does not have one top folder"
    # The runner looks for owner and name as GitHub spells them. GitHub calls the folder Owner-Name-COMMIT, with the
    # commit's first digits, and after a repository was renamed with its new name.
    spelled=${top%-*}
    if [ "$spelled" = "$owner-$name" ]; then return; fi
    # A hyphen can be part of both, so the two can be told apart only if nothing but the case differs.
    if [ "$(lower "$spelled")" = "$(lower "$owner-$name")" ]; then
        fail "GitHub spells it \`$(printf %s "$spelled" | cut -c "1-${#owner}")/$(printf %s "$spelled" | cut -c "$((${#owner} + 2))-")\`, and the runner looks for that"
    fi
    fail "the folder of its archive is \`$top\`, not \`$owner-$name-\` and the commit: the repository may have a new name, and the runner looks for that"
}

download() {
    printf '%s\n' "$reference" | grep -qxE '[A-Za-z0-9-]+/[A-Za-z0-9._-]+@[A-Za-z0-9._][A-Za-z0-9._/+-]*' ||
        fail "OWNER/NAME@REF is expected, without a path: an archive has the whole repository"
    action=${reference%%@*} ref=${reference#*@}
    owner=${action%/*} name=${action#*/}
    find_commit
    archive="$dir/${owner}_$name/$sha.tar.gz"
    if [ ! -f "$archive" ]; then
        # Moved to its place after the check, so that no later run takes a part or a broken one. The runner downloads the
        # same archive.
        curl --fail --silent --show-error --location --retry 3 --connect-timeout 30 --max-time 300 \
            --output "$work/archive" "$archives/$action/legacy.tar.gz/$sha" || fail "the archive of commit $sha cannot be downloaded"
        check "$work/archive"
        mkdir -p "${archive%/*}"
        mv "$work/archive" "$archive"
    fi
    printf '%s\t%s\n' "$reference" "$sha" >> "$dir/manifest.tsv"
    echo "action $reference: commit $sha, $(wc -c < "$archive") bytes"
}

mkdir -p "$dir"
: > "$dir/manifest.tsv"
work=$(mktemp -d "$dir/.part.XXXXXX")
trap 'rm -rf "$work"' EXIT
for reference; do
    # A subshell as a condition would go on after an error.
    set +e
    (
        set -e
        download
    )
    code=$?
    set -e
    [ "$code" = 0 ] || [ -n "$lenient" ] || exit "$code"
done
