#!/bin/bash
# Runs the commands of buildspec.yml with stand-ins for `aws` and `docker`. The stand-in for S3 has objects by version.
# It needs neither program, so it does not test the behaviour of CodeBuild, ECR and BuildKit.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/s3"
python3 "$here/commands.py" "$here/../buildspec.yml" > "$work/build.sh"

cat > "$work/bin/aws" <<'AWS'
#!/bin/bash
echo "aws $*" >> "$CALLS"
case "$1 $2" in
    "ecr get-login-password") echo "password of $4" ;;
    "s3api get-object") # --bucket B --key K --version-id V FILE
        object="$S3/$4/${6//\//,}@$8"
        [ -f "$object" ] || { echo "An error occurred (NoSuchVersion) when calling the GetObject operation: $6 $8" >&2; exit 254; }
        cp "$object" "$9"
        echo '{"VersionId": "'"$8"'"}' ;;
    *) exit 252 ;;
esac
AWS
cat > "$work/bin/docker" <<'DOCKER'
#!/bin/bash
echo "docker $*" >> "$CALLS"
case "$*" in
    login*) cat >> "$CALLS" ;;
    "buildx imagetools inspect ghcr.io/"*) echo sha256:ba5e ;;
    "buildx imagetools inspect "*) echo sha256:d16e57 ;;
    "buildx create "*) [ -z "${NO_BUILDKIT:-}" ] || { echo "ERROR: toomanyrequests"; exit 1; } ;;
    "buildx build "*)
        [ -z "${BROKEN:-}" ] || exit 1
        [[ -z "${NOT_SLIM:-}" || "$*" != *VARIANT=slim* ]] || { echo "#9 0.1 error: the base image sets \`NEW\` as no slim image does: build with VARIANT=full" >&2; exit 1; }
        echo "context: $(cd "${*: -1}" && find . -type f | sort | tr '\n' ' ')agents: $(ls agents)" >> "$CALLS" ;;
    run*) printf '%s\n' "${SAID:-2.337.0}" ;;
esac
DOCKER
chmod +x "$work/bin/aws" "$work/bin/docker"

# The bucket: two sources, their list, and the agent.
object() { mkdir -p "$work/s3/bucket"; cat > "$work/s3/bucket/${1//\//,}@$2"; }
printf 'v1\tDockerfile\nv2\tcontext/tools/a b.sh\n' | object sources/0123456789ab.tsv l1
echo FROM scratch | object sources/0123456789ab/Dockerfile v1
echo echo | object 'sources/0123456789ab/context/tools/a b.sh' v2
echo agent | object agent/x64/ecsrunner-agent a1
echo replaced | object agent/x64/ecsrunner-agent a2
sum=$(echo agent | sha256sum | cut -d ' ' -f 1)
image=123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecsrunner-ci-runner

build() {
    rm -rf "$work/src" && mkdir "$work/src"
    : > "$work/calls"
    code=0
    (cd "$work/src" && env -i PATH="$work/bin:$PATH" CALLS="$work/calls" S3="$work/s3" AWS_REGION=eu-west-1 BUCKET=bucket \
        AGENT=agent/x64/ecsrunner-agent AGENT_VERSION=a1 AGENT_SHA256="$sum" PLATFORM=amd64 REPOSITORY="$image" \
        SOURCES=sources/0123456789ab SOURCES_VERSION=l1 REVISION=0123456789ab NEXT_TAG=next-x64 \
        IMAGE_TAG=1-0123456789ab-2.337.0-1 RUNNER_VERSION=2.337.0 "$@" \
        bash -c "$(cat "$work/build.sh"; echo; echo 'echo "exported $IMAGE_DIGEST $RUNNER_VERSION $IMAGE_VARIANT."')") > "$work/out" 2>&1 || code=$?
}
failed() { echo "FAILED: $test: $1"; cat "$work/calls" "$work/out"; exit 1; }
called() { grep -qF -- "$1" "$work/calls" || failed "not called: $1"; }
not_called() { ! grep -qF -- "$1" "$work/calls" || failed "called: $1"; }
says() { grep -qF -- "$1" "$work/out" || failed "not said: $1"; }
works() { [ "$code" = 0 ] || failed "exit code $code"; says "ecsrunner-image digest=sha256:d16e57 runner=2.337.0"; says "exported sha256:d16e57 2.337.0 ${1:-}."; }
fails() { [ "$code" != 0 ] || failed "it succeeded"; ! grep -q ecsrunner-image "$work/out" || failed "it tells of an image"; }

test="sources and agent are fetched by version, and both tags are pushed as zstd"
build
works
called 'docker login --username AWS --password-stdin 123456789012.dkr.ecr.eu-west-1.amazonaws.com'
called 'password of eu-west-1'
called "docker buildx build --builder ecsrunner --file fetched/Dockerfile --build-context ecsrunner=agents --provenance=false --build-arg BASE_IMAGE=ghcr.io/actions/actions-runner:2.337.0@sha256:ba5e --build-arg VERSION=1-0123456789ab-2.337.0-1 --build-arg REVISION=0123456789ab --progress plain --load --tag $image:1-0123456789ab-2.337.0-1 fetched/context"
called "--tag $image:1-0123456789ab-2.337.0-1 --tag $image:next-x64 --output type=image,push=true,oci-mediatypes=true,compression=zstd,force-compression=true fetched/context"
called 'context: ./tools/a b.sh agents: agent-amd64'
not_called 'docker push'
says 'layers: zstd'

test="what is pushed was started before"
[ "$(grep -nE '^docker (run|buildx build .*push=true)' "$work/calls" | cut -d : -f 2 | cut -d ' ' -f 2 | tr '\n' ' ')" = "run buildx " ] || failed "the order differs"

test="the newest runner tells its version"
build RUNNER_VERSION=latest
works
called 'BASE_IMAGE=ghcr.io/actions/actions-runner:latest@sha256:ba5e'

test="without BuildKit in a container the layers are gzip, and it says why"
build NO_BUILDKIT=1
works
called 'docker buildx build --builder default'
called "docker tag $image:1-0123456789ab-2.337.0-1 $image:next-x64"
called "docker push --quiet $image:1-0123456789ab-2.337.0-1"
called "docker push --quiet $image:next-x64"
says 'layers: gzip, since BuildKit cannot be started in a container: ERROR: toomanyrequests'

test="what a Docker engine needs is asked for"
build VARIANT=docker
works docker
called '--build-arg REVISION=0123456789ab --build-arg VARIANT=docker --progress plain --load'

test="a base image by its digest stays, and a registry of its own is logged in to"
build BASE_IMAGE=210987654321.dkr.ecr.us-east-1.amazonaws.com/team/base@sha256:0a
works
called 'BASE_IMAGE=210987654321.dkr.ecr.us-east-1.amazonaws.com/team/base@sha256:0a --build-arg'
called 'docker login --username AWS --password-stdin 210987654321.dkr.ecr.us-east-1.amazonaws.com'
called 'password of us-east-1'

test="a base image of the same registry needs no second login"
build BASE_IMAGE=123456789012.dkr.ecr.eu-west-1.amazonaws.com/base:1
works
[ "$(grep -c '^docker login' "$work/calls")" = 1 ] || failed "it logged in again"

test="the variant is passed on"
build VARIANT=slim
works slim
[ "$(grep -c -- '--build-arg VARIANT=slim' "$work/calls")" = 2 ] || failed "what is pushed is not what was built"

test="a base that cannot be made slim is built in full, and the log says so"
build VARIANT=slim NOT_SLIM=1
works full
says 'warning: the slim image cannot be built'
called "--build-arg VARIANT=full --tag $image:1-0123456789ab-2.337.0-1 --tag $image:next-x64"

test="a slim image that fails for another reason is not built in full"
build VARIANT=slim BROKEN=1
fails
not_called 'VARIANT=full'

test="the archives of actions are fetched into the context of the agents"
printf 'v1\tDockerfile\nv1\tactions.sh\n' | object sources/0123456789ab.tsv l3
printf '[ "$1" = --leave-out ] || exit 1; shift\nfor argument; do echo "archive: $argument" >> "$CALLS"; done; mkdir "$1"; [ "$2" != acme/none@v1 ]\n' | object sources/0123456789ab/actions.sh v1
build SOURCES_VERSION=l3 ACTIONS='acme/tool@v1 actions/checkout@v4'
works
called 'archive: agents/actions'
called 'archive: acme/tool@v1'
called 'archive: actions/checkout@v4'
called 'agents: actions'

test="archives that cannot be prepared fail the build"
build SOURCES_VERSION=l3 ACTIONS='acme/none@v1'
fails
not_called 'docker'

test="an agent with another SHA-256 is not built in"
build AGENT_VERSION=a2
fails
says "error: the agent agent/x64/ecsrunner-agent, version a2, has the SHA-256"
says "$sum is expected"
not_called 'docker'

test="a version that is gone fails the build"
build SOURCES_VERSION=l2
fails
says 'NoSuchVersion'
not_called 'docker'

test="a source that is gone fails the build"
mv "$work/s3/bucket/sources,0123456789ab,Dockerfile@v1" "$work/aside"
build
fails
not_called 'docker'
mv "$work/aside" "$work/s3/bucket/sources,0123456789ab,Dockerfile@v1"

test="a build that fails pushes nothing"
build BROKEN=1
fails
not_called 'push=true'

test="an image whose runner tells no version is not pushed"
build SAID='Segmentation fault'
fails
says 'error: the runner of the image does not tell its version: Segmentation fault'
not_called 'push=true'

echo "16 passed"
