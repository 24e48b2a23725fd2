# shellcheck shell=bash
# The files that a build writes to the root file systems of the nodes. Loaded after helpers.bash.

default_profile=profiles/magi.toml
example_profile=docs/example-overlay/magi.toml

# render NODE [PROFILE]: extracts the node's files to the folder $root. Images are built once in a run.
render() {
	local profile=${2:-$default_profile} images folder work=$BATS_RUN_TMPDIR
	# shellcheck source=tests/images.sh
	. tests/images.sh
	images=$work/images-$(basename "$(dirname "$profile")")
	root=$BATS_TEST_TMPDIR/root-$(basename "$images")-$1
	for folder in /etc /usr/local /var/lib; do
		extract "$profile" "$images" "$1" "$folder" "$root${folder%/*}"
	done
}
