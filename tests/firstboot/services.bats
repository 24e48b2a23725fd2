#!/usr/bin/env bats
# The first-boot step 90-services.

load helpers

@test "services ordered after first boot are started when first boot is done" {
	new_node
	add_overlay_step 90-services
	printf 'docker\nk3s\n' >"$MAGI_CONF/services"
	fake systemctl <<-'END'
		case $* in
		*After*k3s) echo 'basic.target magi-firstboot.service network-online.target' ;;
		*After*) echo basic.target ;;
		is-enabled*docker) ;;
		is-enabled*) exit 1 ;;
		*no-block*) [ -e "$MAGI_STATE/firstboot/done" ] ;;
		esac
	END
	run_firstboot
	assert_equal "start docker
enable k3s
start --no-block docker
start --no-block k3s" "$(calls_of systemctl | grep -v 'show\|is-enabled')"
}

@test "a service that fails to start is named in the status" {
	new_node
	add_overlay_step 90-services
	echo docker >"$MAGI_CONF/services"
	fake systemctl <<-'END'
		[ "$1" != start ] || [ -e "$SCRATCH/repaired" ] || { echo 'Job for docker.service failed.'; exit 1; }
	END
	save_status_on_failure
	run_firstboot
	assert_file_contains "$SCRATCH/status-on-failure" 'starting docker'
	assert_file_contains "$SCRATCH/status-on-failure" 'error: Job for docker.service failed.'
}
