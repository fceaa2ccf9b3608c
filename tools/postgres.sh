#!/usr/bin/env bash
# Installs Debian's PostgreSQL where there is none. Tests start servers of their
# own from its programs; the one that Debian would set up is not wanted.
set -euo pipefail
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null && exit 0
echo "installing: postgresql"
export DEBIAN_FRONTEND=noninteractive
sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends postgresql-common
$sudo sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
$sudo apt-get install -y -qq --no-install-recommends postgresql
