# The published exporter has nothing in it that could ask whether it is well.
ARG EXPORTER=nginx/nginx-prometheus-exporter:1.5.1
ARG BASE=busybox:1.37.0-glibc
FROM ${EXPORTER} AS exporter
FROM ${BASE}
COPY --from=exporter /usr/bin/nginx-prometheus-exporter /usr/bin/nginx-prometheus-exporter
USER 10003:10003
EXPOSE 9113
ENTRYPOINT ["/usr/bin/nginx-prometheus-exporter"]
