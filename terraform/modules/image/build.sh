#!/bin/sh
# Builds the runners' image with Docker's buildx and pushes it to ECR. Terraform calls it, with everything
# in the environment: IMAGE (registry/name:tag), DOCKERFILE, CONTEXT, PLATFORMS, BASE_IMAGE (or `default`),
# VERSION, REVISION and AWS_REGION.
#
# Another architecture than this machine's is emulated, which takes an hour: BUILDX_BUILDER may name a
# builder of one's own that has machines of both.
set -eu

registry=${IMAGE%%/*}

for tool in aws docker; do
    command -v "$tool" >/dev/null || {
        echo "build.sh: $tool is not installed: it is needed to build $IMAGE; runner_image_uri brings an image that is built elsewhere" >&2
        exit 1
    }
done
docker buildx version >/dev/null 2>&1 || {
    echo "build.sh: Docker has no buildx: install the package docker-buildx-plugin to build $IMAGE" >&2
    exit 1
}

# Not in a pipe: a shell without pipefail would go on with an empty password.
password=$(aws ecr get-login-password --region "$AWS_REGION")
printf '%s' "$password" | docker login --username AWS --password-stdin "$registry" >/dev/null
trap 'docker logout "$registry" >/dev/null 2>&1 || true' EXIT

# An apply that broke off after its push finds the tag, which cannot be written twice.
if docker buildx imagetools inspect "$IMAGE" >/dev/null 2>&1; then
    echo "build.sh: $IMAGE is there already"
    exit 0
fi

# Docker's default builder makes neither two platforms nor zstd. This one stays, for its cache:
# `docker buildx rm ecsrunner` removes it.
if [ -z "${BUILDX_BUILDER:-}" ]; then
    BUILDX_BUILDER=ecsrunner
    docker buildx inspect "$BUILDX_BUILDER" >/dev/null 2>&1 ||
        docker buildx create --name "$BUILDX_BUILDER" --driver docker-container >/dev/null
fi

set -- --build-arg "VERSION=$VERSION" --build-arg "REVISION=$REVISION"
if [ "$BASE_IMAGE" != default ]; then
    set -- "$@" --build-arg "BASE_IMAGE=$BASE_IMAGE"
fi

# zstd is unpacked faster where it is pulled.
docker buildx build --builder "$BUILDX_BUILDER" --platform "$PLATFORMS" --file "$DOCKERFILE" "$@" \
    --output "type=image,name=$IMAGE,push=true,oci-mediatypes=true,compression=zstd,force-compression=true" \
    "$CONTEXT"
