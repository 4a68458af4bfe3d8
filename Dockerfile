# The container image of Aether Vault: the API, the controller and every other subcommand in one program.
# Where base images cannot be pulled, hack/image makes both stages from what the machine has.

FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
# Queries are checked against .sqlx: no database while building.
ENV SQLX_OFFLINE=true
RUN cargo build --release --locked && install -D target/release/aether-vault /out/aether-vault

# glibc, libgcc, CA certificates and time zones; no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/aether-vault /usr/local/bin/aether-vault
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/aether-vault"]
