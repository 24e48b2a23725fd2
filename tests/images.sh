# shellcheck shell=bash disable=SC2154 # work is the caller's
# Root file systems of images that the real binary builds, for the suites that run a node's scripts. Sourced; the
# caller sets work, and may set base (a sample base, by default that of family A). Sets tool (the binary: MAGI_IMAGE_BIN, or built here) and python.
tool=${MAGI_IMAGE_BIN:-}
if [ -z "$tool" ]; then
	cargo build --quiet --locked || exit
	tool=${CARGO_TARGET_DIR:-$PWD/target}/debug/magi-image
fi
python=${PYTHON:-python3}

# build PROFILE IMAGES: builds the images of all nodes on the sample base, once.
build() {
	[ ! -e "$2/offset" ] || return 0
	mkdir -p "$2"
	echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ test' >"$2/key.pub"
	[ -e "$2/secrets.toml" ] || "$tool" init --quiet --secrets "$2/secrets.toml" "$2/init" >/dev/null || return
	"$tool" build --all --quiet --base "${base:-sample}" --profile "$1" --ssh-key "$2/key.pub" --secrets "$2/secrets.toml" \
		--cache-dir "$work/cache" --out-dir "$2" >/dev/null || return
	"$tool" inspect --json "$2"/magi-melchior.img | "$python" -c '
import json, sys
parts = json.load(sys.stdin)["partitions"]
print(next(p["first_lba"] * 512 for p in parts if "ext4" in p))' >"$2/offset"
}

# extract PROFILE IMAGES NODE FOLDER INTO: copies FOLDER of NODE's root file system; builds first.
extract() {
	build "$1" "$2" || return
	mkdir -p "$5"
	! debugfs -R "rdump $4 $5" "$2/magi-$3.img?offset=$(cat "$2/offset")" 2>&1 | grep -v '^debugfs '
}
