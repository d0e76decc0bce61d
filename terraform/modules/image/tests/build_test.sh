#!/bin/sh
# Runs build.sh with stand-ins for `aws` and `docker` that record their calls. It needs neither program, so
# it does not test the behaviour of ECR and BuildKit.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/tmp"
export TMPDIR="$work/tmp"

cat > "$work/bin/aws" <<'AWS'
#!/bin/sh
echo "aws $*" >> "$CALLS"
[ -z "${NO_PASSWORD:-}" ] || exit 255
echo secret
AWS
cat > "$work/bin/docker" <<'DOCKER'
#!/bin/sh
echo "docker $*" >> "$CALLS"
# What the build context of the agents holds.
for argument; do
    case "$argument" in ecsrunner=*) echo "agents: $(cd "${argument#*=}" && echo *) $(cat "${argument#*=}"/agent-*)" >> "$CALLS" ;; esac
done
case "$1 ${2:-} ${3:-}" in
    "login "*) [ "$(cat)" = secret ] ;;
    "buildx imagetools inspect") [ -n "${THERE:-}" ] ;;
    "buildx inspect "*) [ -n "${BUILDER_THERE:-}" ] ;;
    "buildx build "*) [ -z "${BROKEN:-}" ] ;;
esac
DOCKER
chmod +x "$work/bin/aws" "$work/bin/docker"

echo amd64 > "$work/agent-x64"
echo arm64 > "$work/agent-arm64"

export ACTIONS= VARIANT=slim CALLS="$work/calls" AWS_REGION=eu-west-1 BASE_IMAGE=default CONTEXT='/src/a b' DOCKERFILE='/src/a b/Dockerfile' \
    IMAGE=123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecsrunner-ci-runner:1-0123456789ab \
    PLATFORMS=linux/amd64,linux/arm64 REVISION=0123456789ab VERSION=1 AGENT_AMD64="$work/agent-x64" AGENT_ARM64="$work/agent-arm64"
unset BUILDX_BUILDER
path=$PATH

build() {
    : > "$CALLS"
    PATH="$work/bin:$path" env "$@" "$here/../build.sh" > "$work/out" 2>&1
}
called() { grep -qF -- "$1" "$CALLS" || { echo "FAILED: $test: not called: $1"; cat "$CALLS" "$work/out"; exit 1; }; }
not_called() { ! grep -qF -- "$1" "$CALLS" || { echo "FAILED: $test: called: $1"; cat "$CALLS"; exit 1; }; }
fails() { if build "$@"; then echo "FAILED: $test: it succeeded"; exit 1; fi; }

test="an image is built for both platforms and pushed as zstd"
build X=1
called 'aws ecr get-login-password --region eu-west-1'
called 'docker login --username AWS --password-stdin 123456789012.dkr.ecr.eu-west-1.amazonaws.com'
called 'docker buildx create --name ecsrunner --driver docker-container'
called 'docker buildx build --builder ecsrunner --platform linux/amd64,linux/arm64 --file /src/a b/Dockerfile --build-context ecsrunner='
called "--build-arg VERSION=1 --build-arg REVISION=0123456789ab --build-arg VARIANT=slim --output type=image,name=$IMAGE,push=true,oci-mediatypes=true,compression=zstd,force-compression=true /src/a b"
called 'docker logout 123456789012.dkr.ecr.eu-west-1.amazonaws.com'
called 'agents: agent-amd64 agent-arm64 amd64'
not_called 'BASE_IMAGE'
not_called 'secret'
[ -z "$(ls "$work/tmp")" ] || { echo "FAILED: $test: the agents are left behind"; exit 1; }

test="for one architecture one agent is enough"
build PLATFORMS=linux/arm64 AGENT_AMD64=
called 'agents: agent-arm64 arm64'

test="what a Docker engine needs is asked for"
build VARIANT=docker
called '--build-arg REVISION=0123456789ab --build-arg VARIANT=docker --output'

test="another base is passed on"
build BASE_IMAGE=ghcr.io/acme/base:1
called '--build-arg BASE_IMAGE=ghcr.io/acme/base:1'

test="a Dockerfile without variants gets none"
build VARIANT=
not_called 'VARIANT'

test="the archives of actions are in the context of the agents, and one that cannot be had fails the build"
cat > "$work/bin/git" <<'GIT'
#!/bin/sh
[ "$3" = refs/tags/v1 ] && printf '0123456789012345678901234567890123456789\trefs/tags/v1\n'
true
GIT
cat > "$work/bin/curl" <<'CURL'
#!/bin/sh
while [ "$1" != --output ]; do shift; done
mkdir -p "$TMPDIR/acme-tool-0123456"
tar -czf "$2" -C "$TMPDIR" acme-tool-0123456
rmdir "$TMPDIR/acme-tool-0123456"
CURL
chmod +x "$work/bin/git" "$work/bin/curl"
build ACTIONS='acme/tool@v1'
called 'agents: actions agent-amd64 agent-arm64 amd64'
fails ACTIONS='acme/tool@v1 acme/tool@v2'
not_called 'docker buildx build'
called 'docker logout'
[ -z "$(ls "$work/tmp")" ] || { echo "FAILED: $test: archives are left behind"; exit 1; }

test="an image that is there is not built again"
build THERE=1
not_called 'docker buildx build'
called 'docker logout'

test="a builder that is there is used"
build BUILDER_THERE=1
not_called 'docker buildx create'

test="a builder of one's own is used"
build BUILDX_BUILDER=mine
not_called 'docker buildx create'
called 'docker buildx build --builder mine'

test="without a password nothing is built"
fails NO_PASSWORD=1
not_called 'docker login'
not_called 'docker buildx build'

test="a build that fails is a failure, and the login ends"
fails BROKEN=1
called 'docker logout'

test="without Docker it says what to do"
rm "$work/bin/docker"
ln -s "$(command -v dirname)" "$work/bin/dirname"
: > "$CALLS"
if PATH="$work/bin" /bin/sh "$here/../build.sh" > "$work/out" 2>&1; then echo "FAILED: $test"; exit 1; fi
grep -q 'docker is not installed.*codebuild.*runner_image_uri' "$work/out" || { echo "FAILED: $test"; cat "$work/out"; exit 1; }

echo "11 passed"
