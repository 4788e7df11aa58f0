"""Lines that solve the problems. The nginx lines are in deploy/nginx.conf, word for word."""

HTTP_1_1 = "proxy_http_version 1.1;"
UPGRADE = "proxy_set_header Upgrade $http_upgrade;"
CONNECTION = "proxy_set_header Connection $headwater_connection;"
HOST = "proxy_set_header Host $host$headwater_port;"
CLIENT = "proxy_set_header X-Forwarded-For $remote_addr;"
SCHEME = "proxy_set_header X-Forwarded-Proto $scheme;"
UNBUFFERED = "proxy_buffering off;"
UNCACHED = "proxy_cache off;"
UNCOMPRESSED = "gzip off;"
BODY = "client_max_body_size 5m;"
HEAD = "large_client_header_buffers 4 16k;"
IDLE = "proxy_read_timeout 1h;"
UPSTREAM = "server 127.0.0.1:8000;"
PASS = "proxy_pass http://headwater;"
NAME = "server_name headwater.example;"
LISTEN = "listen 80;"
LISTEN_TLS = "listen 443 ssl http2;"
CERTIFICATE = "ssl_certificate /etc/letsencrypt/live/headwater.example/fullchain.pem;"

NGINX = (
    HTTP_1_1, UPGRADE, CONNECTION, HOST, CLIENT, SCHEME, UNBUFFERED, UNCACHED, UNCOMPRESSED, BODY,
    HEAD, IDLE, UPSTREAM, PASS, NAME, LISTEN, LISTEN_TLS, CERTIFICATE,
)  # fmt: skip

# Remedies that are not lines of nginx.
NOT_IGNORED = "take X-Accel-Buffering out of `proxy_ignore_headers`"
CACHE_CONTROL = "take Cache-Control out of `proxy_ignore_headers`"
RANGES = 'take `proxy_set_header Range "";` and `max_ranges` out'
TOKEN = ".venv/bin/flask --app wsgi tokens add NAME --scope 'read:*' --scope 'subscribe:*'"
PROXIES = "HEADWATER_PROXIES=1 in the server's environment"
RUNNING = "systemctl status headwater"
