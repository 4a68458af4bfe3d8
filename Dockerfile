# syntax=docker/dockerfile:1
# The container image of Aether Vault: the API, the controller and every other subcommand in one program.
# Where base images cannot be pulled, hack/image makes both stages from what the machine has.

FROM docker.io/library/rust:1.95-bookworm AS build
# The list of dependencies goes into the program, where scanners find it.
RUN --mount=type=cache,target=/usr/local/cargo/registry cargo install --quiet --locked --version 0.7.7 cargo-auditable
WORKDIR /source
COPY . .
# Queries are checked against .sqlx: no database while building.
ENV SQLX_OFFLINE=true
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
  cargo auditable build --release --locked && install -D --strip target/release/aether-vault /out/aether-vault

# glibc, libgcc, CA certificates and time zones; no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Aether Vault" \
  org.opencontainers.image.description="Secret server and Kubernetes operator in one binary" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="$VERSION" \
  org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/aether-vault /usr/local/bin/aether-vault
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/aether-vault"]
