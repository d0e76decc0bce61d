#!/bin/sh
# Builds the runners' image with Docker's buildx and pushes it to ECR. Terraform calls it and passes its
# inputs in the environment: IMAGE (registry/name:tag), DOCKERFILE, CONTEXT, PLATFORMS, BASE_IMAGE (or
# `default`), VARIANT (or empty), ACTIONS (references, or empty), VERSION, REVISION and AWS_REGION, and the
# agents as AGENT_AMD64, AGENT_ARM64 or both.
#
# This project's Dockerfile executes only programs of this machine's architecture, so any machine builds it
# for both. VARIANT=docker and a Dockerfile of your own that has RUN need emulation, or your own builder with
# machines of both: BUILDX_BUILDER.
set -eu

registry=${IMAGE%%/*}

for tool in aws docker; do
    command -v "$tool" >/dev/null || {
        echo "build.sh: $tool is not installed, but is needed to build $IMAGE; let AWS build it (runner_image_build.builder = \"codebuild\"), or set runner_image_uri to use an image built elsewhere" >&2
        exit 1
    }
done
docker buildx version >/dev/null 2>&1 || {
    echo "build.sh: Docker has no buildx, which is needed to build $IMAGE: install the package docker-buildx-plugin" >&2
    exit 1
}

# Not in a pipe: a shell without pipefail would continue with an empty password.
password=$(aws ecr get-login-password --region "$AWS_REGION")
agents=
trap 'docker logout "$registry" >/dev/null 2>&1 || true; [ -z "$agents" ] || rm -rf "$agents"' EXIT
printf '%s' "$password" | docker login --username AWS --password-stdin "$registry" >/dev/null

# If an earlier apply stopped after its push, the tag exists and cannot be written again.
if docker buildx imagetools inspect "$IMAGE" >/dev/null 2>&1; then
    echo "build.sh: $IMAGE exists already"
    exit 0
fi

# Docker's default builder supports neither two platforms nor zstd. This builder is kept for its cache;
# `docker buildx rm ecsrunner` removes it.
if [ -z "${BUILDX_BUILDER:-}" ]; then
    BUILDX_BUILDER=ecsrunner
    docker buildx inspect "$BUILDX_BUILDER" >/dev/null 2>&1 ||
        docker buildx create --name "$BUILDX_BUILDER" --driver docker-container >/dev/null
fi

# The agents, under the names that the Dockerfile expects.
agents=$(mktemp -d)
[ -z "${AGENT_AMD64:-}" ] || cp "$AGENT_AMD64" "$agents/agent-amd64"
[ -z "${AGENT_ARM64:-}" ] || cp "$AGENT_ARM64" "$agents/agent-arm64"
# Checked by Terraform: they have no spaces, and no characters that the shell interprets.
# shellcheck disable=SC2086
[ -z "${ACTIONS:-}" ] || sh "${0%/*}/actions.sh" "$agents/actions" $ACTIONS

set -- --build-context "ecsrunner=$agents" --build-arg "VERSION=$VERSION" --build-arg "REVISION=$REVISION"
if [ "$BASE_IMAGE" != default ]; then
    set -- "$@" --build-arg "BASE_IMAGE=$BASE_IMAGE"
fi
if [ -n "${VARIANT:-}" ]; then
    set -- "$@" --build-arg "VARIANT=$VARIANT"
fi

# zstd is faster to unpack after a pull.
docker buildx build --builder "$BUILDX_BUILDER" --platform "$PLATFORMS" --file "$DOCKERFILE" "$@" \
    --output "type=image,name=$IMAGE,push=true,oci-mediatypes=true,compression=zstd,force-compression=true" \
    "$CONTEXT"
