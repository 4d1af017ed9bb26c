#!/usr/bin/env bash
# A real Apache Kafka broker (one node, KRaft) on the loopback, from Maven Central.
#
#   kafka.sh start DIR PORT [key=value ...]   start with data in DIR, wait until it serves, print its address;
#                                             key=value overrides the broker's configuration; PORT+1 is used, too
#   kafka.sh stop DIR                         end it in order and wait
#   kafka.sh kill DIR                         end it like a crash; start on the same DIR recovers
#
# Needs Java 17 or later and Maven. The jars are fetched once, into $MILLRACE_KAFKA_LIB, by default
# ${XDG_CACHE_HOME:-~/.cache}/millrace/kafka-4.3.1. KAFKA_HEAP_OPTS sets the heap, by default -Xms256m -Xmx1g.
#
# The tests that want a real broker are told its address:
#
#   export MILLRACE_KAFKA=$(test/kafka/kafka.sh start /tmp/kafka 21092)
#   go test ./...
#   test/kafka/kafka.sh stop /tmp/kafka
set -euo pipefail

version=4.3.1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lib=${MILLRACE_KAFKA_LIB:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace/kafka-$version}

die() { echo "kafka.sh: $*" >&2; exit 1; }
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}" >&2; exit 2; }

# running: whether the process that start noted is alive. Where nobody reaps orphans, as in some containers, a dead
# process stays as a zombie.
running() {
  [ -f "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null &&
    ! grep -q '^State:[[:space:]]*Z' "/proc/$(cat "$dir/pid")/status" 2>/dev/null
}

# answers: whether somebody listens on the port.
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

# fetch fills the cache. It is filled aside and moved into place whole, so that an interrupted or a second,
# simultaneous run does no harm.
fetch() {
  [ -f "$lib/complete" ] && return
  command -v mvn >/dev/null || die "mvn is missing: install Maven, or put the jars of Kafka $version into $lib"
  mkdir -p "$(dirname "$lib")"
  local fresh
  fresh=$(mktemp -d "$lib.XXXXXX")
  echo "kafka.sh: fetching Kafka $version into $lib" >&2
  if ! mvn -q -B -f "$here/pom.xml" -Dkafka.version="$version" dependency:copy-dependencies -DoutputDirectory="$fresh" >&2; then
    rm -rf "$fresh"
    die "fetching Kafka $version from Maven Central failed"
  fi
  touch "$fresh/complete"
  if ! mv -T "$fresh" "$lib" 2>/dev/null; then
    [ -f "$lib/complete" ] || { rm -rf "$lib"; mv "$fresh" "$lib"; }
    rm -rf "$fresh"
  fi
}

configure() {
  cat > "$dir/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$dir/data
num.partitions=4
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=100
END
  local setting
  for setting in "$@"; do echo "$setting" >> "$dir/server.properties"; done
}

start() {
  running && die "the broker of $dir runs already, as process $(cat "$dir/pid")"
  command -v java >/dev/null || die "java is missing: install Java 17 or later"
  # A broker that was just killed may hold its port for a moment.
  for _ in $(seq 50); do
    answers || break
    sleep 0.1
  done
  answers && die "port $port is in use"
  fetch
  configure "$@"
  if [ ! -f "$dir/data/meta.properties" ]; then
    local id
    id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | tr -d '=')
    java -cp "$lib/*" kafka.tools.StorageTool format -t "$id" -c "$dir/server.properties" > "$dir/format.log" 2>&1 ||
      { cat "$dir/format.log" >&2; die "formatting $dir/data failed"; }
  fi
  # A session of its own, where the system can: the interrupt that ends a test must not end the broker first.
  local session=""
  command -v setsid >/dev/null && session=setsid
  # shellcheck disable=SC2086
  $session java ${KAFKA_HEAP_OPTS:--Xms256m -Xmx1g} -XX:+UseG1GC -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
    -cp "$lib/*" kafka.Kafka "$dir/server.properties" > "$dir/kafka.log" 2>&1 < /dev/null &
  echo $! > "$dir/pid"
  for _ in $(seq 600); do
    if answers; then
      echo "127.0.0.1:$port"
      return
    fi
    running || { tail -n 40 "$dir/kafka.log" >&2; die "the broker ended while it started; see $dir/kafka.log"; }
    sleep 0.1
  done
  die "no answer on port $port within 60 seconds; see $dir/kafka.log"
}

# finish SIGNAL ends the broker and waits until it has ended.
finish() {
  running || return 0
  kill "-$1" "$(cat "$dir/pid")"
  for _ in $(seq 600); do
    running || { rm -f "$dir/pid"; return 0; }
    sleep 0.1
  done
  die "the broker of $dir, process $(cat "$dir/pid"), does not end"
}

[ $# -ge 2 ] || usage
command=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
case $command in
start)
  [ $# -ge 3 ] || usage
  port=$3
  shift 3
  start "$@"
  ;;
stop) finish TERM ;;
kill) finish KILL ;;
*) usage ;;
esac
