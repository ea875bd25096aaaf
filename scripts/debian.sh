# shellcheck shell=bash
# A Debian of its own, in a folder, for scripts that try things on one. To be sourced.

# The address of Debian that apt uses here.
mirror() {
	# shellcheck disable=SC2016 # apt's own
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1 | grep . ||
		{ echo "apt has no source for Debian here" >&2; return 1; }
}

# fresh_debian SUITE FOLDER [PACKAGE,...]: puts there what debootstrap makes, with these
# packages besides. It is kept in build/debian for a week.
fresh_debian() {
	local suite=$1 folder=$2 packages=${3-} keep from work
	keep=build/debian/$suite${packages:+-$packages}.tar
	if [[ ! $(find "$keep" -mtime -7 2>/dev/null) ]]; then
		from=$(mirror) || return
		mkdir -p build/debian
		work=$(mktemp -d "${TMPDIR:-/var/tmp}/debian.XXXXXX")
		if ! debootstrap --variant=minbase ${packages:+"--include=$packages"} "$suite" "$work/root" "$from" >"$work/log"; then
			tail "$work/log"
			rm -rf --one-file-system "$work"
			return 1
		fi
		tar -C "$work/root" -cf "$keep.$$" . && mv "$keep.$$" "$keep" || return
		chown --reference=. build build/debian "$keep" # for the owner's make clean
		rm -rf --one-file-system "$work"
	fi
	tar -C "$folder" -xf "$keep"
}

# into_debian FOLDER: makes it the root. To be called in mount and PID namespaces of their own.
into_debian() {
	local device
	mount --bind "$1" "$1"
	cd "$1" || return
	mount -t proc proc proc
	mount -t sysfs -o ro sysfs sys
	mount -t tmpfs -o mode=755 tmpfs dev
	for device in null zero full random urandom tty; do
		touch dev/$device
		mount --bind /dev/$device dev/$device
	done
	mkdir dev/pts dev/shm
	mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
	ln -s pts/ptmx dev/ptmx
	mount -t tmpfs tmpfs dev/shm
	ln -s /proc/self/fd dev/fd
	for device in stdin:0 stdout:1 stderr:2; do ln -s "fd/${device#*:}" "dev/${device%:*}"; done
	pivot_root . mnt
	umount -l /mnt
}

# runs_here ARCHITECTURE: sees to it that this machine runs its programs. The package qemu-user-static
# tells the kernel how as it is installed, where systemd runs.
runs_here() {
	local name
	arch-test -n "$1" >/dev/null 2>&1 && return
	case $1 in
	arm64) name=qemu-aarch64 ;;
	armhf) name=qemu-arm ;;
	*) echo "programs of $1 do not run here" >&2; return 1 ;;
	esac
	mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc || return
	[[ -e /proc/sys/fs/binfmt_misc/$name ]] || cat "/usr/lib/binfmt.d/$name.conf" >/proc/sys/fs/binfmt_misc/register
}

# extracted_debian SUITE ARCHITECTURE FOLDER PACKAGE,...: puts there the files of these packages and of the essential
# ones. None is configured, because under qemu that takes longer than all else. It is kept in build/debian for a week.
extracted_debian() {
	local suite=$1 architecture=$2 folder=$3 packages=$4 keep from
	keep=build/debian/$suite-$architecture-$(cksum <<<"$packages" | cut -d ' ' -f 1).tar
	if [[ ! $(find "$keep" -mtime -7 2>/dev/null) ]]; then
		from=$(mirror) || return
		mkdir -p build/debian
		mmdebstrap --quiet --variant=extract --architectures="$architecture" --include='?essential' --include="$packages" \
			"$suite" "$keep.$$.tar" "$from" && mv "$keep.$$.tar" "$keep" || return
	fi
	tar -C "$folder" -xf "$keep" && ln -s lua5.4 "$folder/usr/bin/lua" && ln -s mawk "$folder/usr/bin/awk"
}
