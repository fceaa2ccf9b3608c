# weir with Python and Node.js, for functions on both; the build needs the base
# images and Go modules, nothing else. Functions on provided.al2023 run too.
#
#   docker build -t weir .
#   docker run --init -v weir:/data -p 8080:8080 -p 127.0.0.1:4566:4566 weir
#   eval "$(docker exec CONTAINER weir env)"
#
# The control address answers outside of the container, to signed calls only:
# publish it to 127.0.0.1 as above. Stop with more time than the drain takes:
# docker stop --time 60.

ARG GO=1.26
ARG NODE=22
ARG PYTHON=3.13

FROM golang:${GO}-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY internal internal
RUN CGO_ENABLED=0 go build -ldflags "-s -w" -o bin/weir ./cmd/weir
RUN mkdir -p -m 0700 data/weir

FROM node:${NODE}-bookworm-slim AS node

FROM python:${PYTHON}-slim-bookworm
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=build /src/bin/weir /usr/local/bin/weir
COPY --from=build --chown=65532:65532 /src/data /data
USER 65532:65532
ENV HOME=/tmp WEIR_DATA=/data/weir WEIR_GATEWAY_ADDR=:8080 WEIR_CONTROL_ADDR=:4566
VOLUME /data
EXPOSE 8080 4566
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["weir", "health"]
ENTRYPOINT ["weir"]
CMD ["serve", "--log-format", "json"]
