#!/usr/bin/env bats
# The first-boot step 30-packages: apt against a slow archive, stale lists and power cuts.

load helpers

setup() {
	new_node
	add_overlay_step 30-packages
	echo 'docker docker.io' >"$MAGI_CONF/packages"
}

@test "packages are installed without questions, one overlay at a time" {
	printf 'common git vim\ndocker docker.io\n' >"$MAGI_CONF/packages"
	fake apt-get <<<'[ "$DEBIAN_FRONTEND" = noninteractive ] && ! read -r -t 0.1 _'
	run_firstboot
	options='-y -o DPkg::Lock::Timeout=600 -o APT::Update::Error-Mode=any -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold'
	assert_equal "dpkg --force-confdef --force-confold --configure -a
apt-get $options update
apt-get $options --fix-broken install
apt-get $options install --no-install-recommends git vim
apt-get $options install --no-install-recommends docker.io
apt-get $options clean" "$(grep -E '^(apt-get|dpkg)' "$CALLS")"
}

@test "package lists of an interrupted boot are discarded, once in each boot" {
	mkdir -p "$MAGI_APT_LISTS"
	: >"$MAGI_APT_LISTS/deb.debian.org_Packages"
	# The first installation fails: the retry must keep the list that the first `update` wrote.
	fake apt-get <<-'END'
		case $* in
		*update) [ ! -e "$MAGI_APT_LISTS/deb.debian.org_Packages" ] || exit 100; echo new >>"$MAGI_APT_LISTS/new" ;;
		*docker.io) [ "$(grep -c docker.io "$CALLS")" -gt 1 ] || { echo 'E: Temporary failure'; exit 100; } ;;
		esac
	END
	run_firstboot
	assert_equal $'new\nnew' "$(cat "$MAGI_APT_LISTS/new")"
}

@test "an unreachable archive is reported and waited for" {
	fake apt-get <<-'END'
		[ "$(grep -c ' update$' "$CALLS")" -gt 3 ] || { echo "E: Could not resolve 'deb.debian.org'"; exit 100; }
	END
	save_status_on_failure
	run_firstboot
	assert_file_contains "$SCRATCH/status-on-failure" '^  step 1 of 1, 30-packages: reading the package lists$'
	assert_file_contains "$SCRATCH/status-on-failure" "error: E: Could not resolve 'deb.debian.org'"
	assert_equal 3 "$(grep -c ^sleep "$CALLS")"
}

@test "after a power cut during an installation dpkg is repaired first" {
	fake apt-get <<<'[[ $* != *docker.io ]] || [ -e "$SCRATCH/power-is-back" ] || { : >"$SCRATCH/installing"; /bin/sleep 30; }'
	start_firstboot
	wait_until [ -e "$SCRATCH/installing" ]
	cut_power
	: >"$SCRATCH/power-is-back"
	: >"$CALLS"
	run_firstboot
	assert_equal 'dpkg --force-confdef --force-confold --configure -a' "$(grep -E '^(apt-get|dpkg)' "$CALLS" | head -n 1)"
}
