#!/bin/bash
# The applications of the demo and of the tests, as a host would run them: unchanged, under their own users.
# Called inside a host (a network namespace); runs in the foreground until it is killed.
#
#   apps.sh postgres DIR          port 5432, database shop from shop/shop.sql
#   apps.sh tomcat DIR            port 8080, the application of shop/webapp
#   apps.sh mariadb DIR           port 3306, user shop, password shop
#   apps.sh redis DIR             port 6379
#
# DIR is made on the first start and used again after that. Its parents must be traversable.
set -euo pipefail

kind=${1:-} dir=${2:-}
[ -n "$dir" ] || { sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 64; }
here=$(cd "$(dirname "$0")" && pwd)

as() {  # USER COMMAND...
  local user=$1
  shift
  setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups --inh-caps=-all -- "$@"
}
become() {
  local user=$1
  shift
  exec setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups --inh-caps=-all -- "$@"
}

postgres() {
  local programs
  programs=$(echo /usr/lib/postgresql/*/bin)
  programs=${programs##* }
  if [ ! -e "$dir/ready" ]; then
    rm -rf "$dir"
    install -d -o postgres -g postgres -m 755 "$dir"
    install -m 644 "$here/shop/shop.sql" "$dir/shop.sql"
    cd "$dir"
    echo unused >"$dir/password"
    chmod 644 "$dir/password"
    as postgres "$programs/initdb" -D "$dir/data" -A scram-sha-256 --pwfile="$dir/password" -N >"$dir/initdb.log" 2>&1 ||
      { cat "$dir/initdb.log" >&2; exit 1; }
    cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = '*'
unix_socket_directories = '$dir'
fsync = off
shared_buffers = 16MB
log_connections = on
log_line_prefix = '%h '
CONF
    cat >"$dir/data/pg_hba.conf" <<CONF
local all postgres trust
host  all all 0.0.0.0/0 scram-sha-256
host  all all ::/0      scram-sha-256
CONF
    as postgres "$programs/pg_ctl" -D "$dir/data" -l "$dir/setup.log" -w start -o "-c listen_addresses=" >/dev/null
    as postgres psql -q -h "$dir" -v ON_ERROR_STOP=1 -f "$dir/shop.sql" postgres
    as postgres "$programs/pg_ctl" -D "$dir/data" -m fast stop >/dev/null
    touch "$dir/ready"
  fi
  cd "$dir"
  become postgres "$programs/postgres" -D "$dir/data"
}

tomcat() {
  if [ ! -e "$dir/ready" ]; then
    rm -rf "$dir"
    install -d -m 755 "$dir" "$dir"/{conf,logs,temp,work,webapps,webapps/shop,webapps/shop/WEB-INF/lib}
    cp -rL /etc/tomcat10/. "$dir/conf/"
    cp -r "$here/shop/webapp/." "$dir/webapps/shop/"
    cp -L /usr/share/java/postgresql.jar "$dir/webapps/shop/WEB-INF/lib/"
    # The shutdown port and the access log's file are a matter of how it is run; connector and application are untouched.
    sed -i 's/<Server port="8005"/<Server port="-1"/' "$dir/conf/server.xml"
    chown -R tomcat: "$dir"
    touch "$dir/ready"
  fi
  cd "$dir"
  export CATALINA_HOME=/usr/share/tomcat10 CATALINA_BASE=$dir
  export CATALINA_OPTS="-Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
  become tomcat /usr/share/tomcat10/bin/catalina.sh run
}

mariadb() {
  if [ ! -e "$dir/ready" ]; then
    rm -rf "$dir"
    install -d -o mysql -g mysql -m 755 "$dir"
    as mysql mariadb-install-db --no-defaults --datadir="$dir/data" --auth-root-authentication-method=normal --skip-test-db \
      >"$dir/install.log" 2>&1 || { cat "$dir/install.log" >&2; exit 1; }
    cat >"$dir/init.sql" <<SQL
CREATE DATABASE IF NOT EXISTS shop;
CREATE USER IF NOT EXISTS 'shop'@'%' IDENTIFIED BY 'shop';
GRANT ALL ON shop.* TO 'shop'@'%';
CREATE OR REPLACE TABLE shop.product (name VARCHAR(80), price DECIMAL(8,2));
INSERT INTO shop.product VALUES ('anchor chain', 129.90), ('mooring line', 48.50);
SQL
    touch "$dir/ready"
  fi
  become mysql mariadbd --no-defaults --datadir="$dir/data" --socket="$dir/socket" --pid-file="$dir/pid" --port=3306 \
    --bind-address='*' --innodb-buffer-pool-size=16M --performance-schema=off --init-file="$dir/init.sql"
}

redis() {
  install -d -o redis -g redis -m 755 "$dir"
  become redis redis-server --port 6379 --bind '*' '-::*' --protected-mode no --dir "$dir" --save '' --daemonize no
}

case $kind in
  postgres | tomcat | mariadb | redis) "$kind" ;;
  *) echo "apps.sh: unknown application '$kind'" >&2; exit 64 ;;
esac
