# shellcheck shell=bash disable=SC2154,SC2034 # variables of run and of what it sources
# Debian's archive is unreachable while a node runs its first boot.
images_for[archive-outage]=plain-dhcp

scenario_archive-outage() {
	local outage=${MAGI_TEST_OUTAGE:-600} back
	need "credentials are in the image" take_credentials plain-dhcp || return
	stop_archive
	start melchior plain-dhcp
	need "ssh answers" within "$ssh_limit" on melchior true || return
	need "the status names the error" within 600 status_says melchior "firstboot: failing.*30-packages.*error: E: .*deb.debian.org" || return
	record_time "the status named the error" "$(age melchior)"
	sleep "$((outage > SECONDS - began ? outage - (SECONDS - began) : 0))"
	expect "first boot still retries after $outage s" status_says melchior "firstboot: (failing|running).*30-packages"
	start_archive
	back=$(now)
	every=10 need "first boot completes by itself" within "$plain_limit" first_boot_is_done melchior || return
	record_time "first boot is done, after the end of the outage" "$(seconds_since "$back")"
	need "a cluster of one" within "$cluster_limit" own_api_is_ready melchior || return
	expect "melchior is complete" within 120 is_complete melchior
	expect "the status has no error left" status_says melchior "firstboot: done"
}
