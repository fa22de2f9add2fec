#!/usr/bin/env bash
# A user without privileges clones into a private home, starts `make run`, sends the README's requests and presses Ctrl-C.
# Run as root. The user is `nobody`; the home has mode 0700 and a path with a blank.
set -euo pipefail
cd "$(dirname "$0")/.."
unset DATABASE_URL REDIS_URL
[ "$(id -u)" = 0 ] || { echo "tests/as_user.sh switches users and needs root"; exit 2; }

home=$(mktemp -d)
port=18080
cleanup() {
  [ -z "${runner:-}" ] || kill -TERM -- "-$runner" 2>/dev/null || true
  rm -rf "$home"
}
trap cleanup EXIT

clone="$home/my leaderboard"
git clone -q --no-hardlinks . "$clone"
chown -R nobody: "$home"
chmod 700 "$home"
python=$(PATH=/usr/bin:/usr/local/bin command -v python3)

as_nobody() { setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups env HOME="$home" "$@"; }

as_nobody make -C "$clone" --no-print-directory setup PYTHON="$python"
setsid setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups env HOME="$home" LEADERBOARD_BIND="127.0.0.1:$port" \
  make -C "$clone" --no-print-directory run PYTHON="$python" >"$home/log" 2>&1 &
runner=$!

url=http://127.0.0.1:$port
for _ in $(seq 240); do
  curl -fs "$url/readyz" >/dev/null && break
  kill -0 "$runner" 2>/dev/null || { cat "$home/log"; exit 1; }
  sleep 0.25
done
curl -fsS -X POST "$url/v1/seasons/spring/scores" -H 'Content-Type: application/json' -d '{"userId": "ada", "delta": 120}'; echo
curl -fsS --retry 20 --retry-delay 0 --retry-all-errors "$url/v1/seasons/spring/leaderboard/rank?userId=ada" | tee "$home/rank"; echo
grep -q '"rank":1,"score":120' "$home/rank"

kill -INT -- "-$runner"
wait "$runner" || { code=$?; [ "$code" = 2 ] || [ "$code" = 130 ] || { cat "$home/log"; exit "$code"; }; }
runner=
if pgrep -u nobody -f "$home" >/dev/null; then echo "processes were left behind:"; pgrep -u nobody -af "$home"; exit 1; fi
echo "a user without privileges: passed"
