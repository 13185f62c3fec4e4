# syntax=docker/dockerfile:1

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY openapi ./openapi
COPY src ./src
RUN npm run build

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM node:24-slim
ARG VERSION=0.0.0-dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="dimsegate" \
      org.opencontainers.image.description="DICOMweb in front of any DIMSE archive, streaming" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

# package.json, fonts/, vendor/, openapi/ and dist/ keep the repository's places: modules find them from their own URL.
WORKDIR /app
COPY package.json LICENSE NOTICE ./
COPY --from=dependencies /app/node_modules ./node_modules
COPY fonts ./fonts
COPY vendor ./vendor
COPY openapi ./openapi
COPY docs/errors.md ./docs/errors.md
COPY --from=build /app/dist ./dist

# The default host, 127.0.0.1, would be reachable from inside the container only. The file is for the service and its health
# check alike; without one, set DIMSEGATE_CONFIG to nothing.
ENV NODE_ENV=production \
    DIMSEGATE_CONFIG=/etc/dimsegate/dimsegate.yaml \
    DIMSEGATE_HTTP__HOST=0.0.0.0

# By number, so that Kubernetes can check runAsNonRoot. Nothing under /app is writable for it and nothing has to be:
# the root file system may be read-only.
USER 10001:10001
EXPOSE 8080 11112

# Kubernetes ignores this and has its own probes. It goes by the variables and by the file of DIMSEGATE_CONFIG, TLS and
# ops.listen included; not by a file that only --config names.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["node", "/app/dist/probe.js"]

ENTRYPOINT ["node", "--max-semi-space-size=4", "/app/dist/main.js"]
CMD ["serve"]
