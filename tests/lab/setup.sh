# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Fills the lab's cache: kernels, their vmlinux, and the initial RAM disks of L1 and L2. Sourced by
# `lab`. A piece is built in a temporary directory and renamed into place, so that an interrupted
# set-up leaves nothing half made.
#
#   CACHE/KVER/root/       the unpacked Debian package, with depmod done      KVER is 6.1 or 6.12
#   CACHE/KVER/vmlinuz     bzImage           CACHE/KVER/vmlinux   ELF with the PVH note
#   CACHE/KVER/release     uname -r          CACHE/KVER/l1.cpio   L1's initial RAM disk
#   CACHE/KVER/guest.cpio  L2's RAM disk     CACHE/min.cpio       L2's smallest one

LAB_SUPPORTED="6.1 6.12"
LAB_L1_MODULES="9pnet_virtio 9p overlay virtio_pci virtio_console"
# virtio_net pulls in net_failover. Only what is needed gets loaded: by modalias, or by its name.
LAB_L1_LATER="igb igbvf nvme e1000 vfio-pci kvm_amd macvlan bridge tun"
LAB_L2_MODULES="pvpanic_mmio button evdev igbvf igb e1000 e1000e nvme virtio_pci virtio_net virtio_blk virtio_rng virtio_console virtio_balloon
	vfio-pci"

lab_say() { printf 'lab: %s\n' "$*" >&2; }
lab_die() { lab_say "$*"; exit 125; }

lab_suite() {
	case $1 in
	6.1) echo bookworm ;;
	6.12) echo bookworm-backports ;;
	*) lab_die "no kernel '$1' here (there are: $LAB_SUPPORTED)" ;;
	esac
}

# the package that the meta package linux-image-amd64 of a suite stands for
lab_image_package() {
	LC_ALL=C apt-cache depends "linux-image-amd64/$1" 2>/dev/null |
		sed -n 's/^ *Depends: *\(linux-image-[0-9].*\)/\1/p' | sed -n 1p
}

lab_download() {
	local kver=$1 dir=$2 suite pkg
	suite=$(lab_suite "$kver")
	pkg=$(lab_image_package "$suite")
	if [ -z "$pkg" ]; then
		lab_say "package lists are missing or old; running tests/deps lab first may help"
		lab_die "cannot tell the kernel package of $suite"
	fi
	lab_say "downloading $pkg"
	(cd "$dir" && apt-get -qq -o APT::Sandbox::User=root download "$pkg") ||
		lab_die "cannot download $pkg"
}

# Unpacks the modules that L1 loads most: it takes seconds there.
lab_plain_modules() {
	local f
	# shellcheck disable=SC2086
	modprobe -d "$1" -S "$2" -a -D $LAB_L1_LATER $LAB_L1_MODULES $LAB_L2_MODULES |
		awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
		while read -r f; do
			[ "$f" = "${f%.xz}" ] || xz -dq "$f"
		done
	depmod -b "$1" "$2"
}

# lab_setup_kernel KVER: unpack, depmod, vmlinux
lab_setup_kernel() {
	local kver=$1 tmp rel
	[ ! -e "$LAB_CACHE/$kver/release" ] || return 0
	tmp=$(mktemp -d "$LAB_CACHE/tmp.XXXXXX")
	lab_download "$kver" "$tmp"
	lab_say "unpacking the $kver kernel"
	mkdir "$tmp/root"
	dpkg -x "$tmp"/*.deb "$tmp/root"
	rm -f "$tmp"/*.deb
	rel=$(cd "$tmp/root/lib/modules" && echo *)
	depmod -b "$tmp/root" "$rel"
	lab_plain_modules "$tmp/root" "$rel"
	ln "$tmp/root/boot/vmlinuz-$rel" "$tmp/vmlinuz"
	"$LAB_DIR/extract-vmlinux" "$tmp/vmlinuz" "$tmp/vmlinux" || exit 125
	echo "$rel" >"$tmp/release"
	chmod -R u+w,go+rX "$tmp"
	rm -rf "${LAB_CACHE:?}/$kver"
	mv "$tmp" "$LAB_CACHE/$kver"
}

# lab_modules KVER NAME...: prints the files to load, in order, each once
lab_modules() {
	local kver=$1 rel
	shift
	rel=$(cat "$LAB_CACHE/$kver/release")
	modprobe -d "$LAB_CACHE/$kver/root" -S "$rel" -a -D "$@" |
		awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

# copies a module to a directory as a plain .ko and prints its name
lab_unpack_module() {
	local from=$1 to=$2 name
	name=$(basename "$from")
	case $from in
	*.ko.xz) name=${name%.xz}; xz -dc "$from" >"$to/$name" ;;
	*.ko.zst) name=${name%.zst}; zstd -dqc "$from" >"$to/$name" ;;
	*) cp "$from" "$to/$name" ;;
	esac
	echo "$name"
}

lab_cpio() {
	(cd "$1" && find . -mindepth 1 -print0 | LC_ALL=C sort -z |
		cpio --null --quiet --reproducible -R 0:0 -o -H newc) >"$2"
}

lab_build_l1() {
	local kver=$1 tmp=$2/l1 m
	mkdir -p "$tmp"/bin "$tmp"/lib "$tmp"/proc "$tmp"/sys "$tmp"/dev "$tmp"/host "$tmp"/rw "$tmp"/new
	cp "$(command -v busybox)" "$tmp/bin/busybox"
	ln -s busybox "$tmp/bin/sh"
	# shellcheck disable=SC2086
	for m in $(lab_modules "$kver" $LAB_L1_MODULES); do
		lab_unpack_module "$m" "$tmp/lib" >>"$tmp/lib/order"
	done
	install -m 755 "$LAB_DIR/l1/initramfs-init" "$tmp/init"
	lab_cpio "$tmp" "$2/l1.cpio"
	rm -rf "$tmp"
}

# a program and every shared library it names
lab_copy_program() {
	local prog=$1 root=$2 f
	install -D -m 755 "$prog" "$root/bin/$(basename "$prog")"
	for f in $(ldd "$prog" | grep -o '/[^ ]*'); do
		install -D -m 755 "$f" "$root$f"
	done
}

# lab_copy_lean PROGRAM ROOT LIBRARY...: as lab_copy_program, but with these libraries alone. In the place of the
# others come libraries of their names that hold the symbols wanted of them, and nothing behind those: fio is linked with
# 80 MB of clients of storage clusters, nvme with ciphers and a message bus, which no guest needs.
lab_copy_lean() {
	local prog=$1 root=$2 lib path of
	shift 2
	install -D -m 755 "$prog" "$root/bin/$(basename "$prog")"
	for lib in $(ldd "$prog" | awk '$2 == "=>" { print $1 }'); do
		path=$(ldd "$prog" | awk -v l="$lib" '$1 == l { print $3 }')
		case " $* " in
		*" ${lib%.so*} "*) install -D -m 755 "$path" "$root$path" ;;
		esac
	done
	for of in "$prog" "$@"; do
		[ "$of" = "$prog" ] || of=$(ldd "$prog" | awk -v l="$of.so" 'index($1, l) == 1 { print $3 }')
		for lib in $(objdump -p "$of" | awk '$1 == "NEEDED" { print $2 }'); do
			path=$(ldd "$prog" | awk -v l="$lib" '$1 == l { print $3 }')
			if [ -z "$path" ] || [ -e "$root$path" ]; then
				continue
			fi
			install -d "$root$(dirname "$path")"
			lab_stub_library "$of" "$lib" "$path" "$root$path"
		done
	done
}

# lab_stub_library PROGRAM LIBRARY PATH OUT: what PROGRAM wants of LIBRARY, with the versions it wants it in
lab_stub_library() {
	local tmp version map=()
	tmp=$(mktemp -d "$LAB_CACHE/tmp.XXXXXX")
	nm -D --defined-only "$3" | awk 'NF == 3 { sub(/@.*/, "", $3); print $3 }' | sort -u >"$tmp/has"
	nm -D --undefined-only "$1" | awk '$1 == "U" { sub(/@.*/, "", $2); print $2 }' | sort -u |
		comm -12 - "$tmp/has" | sed 's/.*/void &(void) { __builtin_trap(); }/' >"$tmp/stub.c"
	for version in $(objdump -p "$1" | awk -v l="$2:" '$1 == "required" { on = $3 == l } on && NF == 4 { print $4 }'); do
		echo "$version {"
		nm -D --undefined-only "$1" | sed -n "s/^ *U \\(.*\\)@$version\$/ \\1;/p"
		echo "};"
	done >"$tmp/map"
	[ ! -s "$tmp/map" ] || map=(-Wl,--version-script="$tmp/map")
	gcc -w -shared -fPIC -Wl,-soname,"$2" "${map[@]}" -o "$4" "$tmp/stub.c" ||
		lab_die "cannot build a stub of $2"
	rm -rf "$tmp"
}

lab_build_guest() {
	local kver=$1 tmp=$2/l2 rel m mods
	rel=$(cat "$LAB_CACHE/$kver/release")
	mods=lib/modules/$rel
	mkdir -p "$tmp"/bin "$tmp"/proc "$tmp"/sys "$tmp"/dev "$tmp"/tmp "$tmp"/etc "$tmp"/run "$tmp/$mods/kernel"
	cp "$(command -v busybox)" "$tmp/bin/busybox"
	busybox --list | xargs -I{} ln -s busybox "$tmp/bin/{}" 2>/dev/null || true
	ln -s bin "$tmp/sbin"
	ln -s . "$tmp/usr"
	lab_copy_program "$(command -v iperf3)" "$tmp"
	lab_copy_lean "$(command -v fio)" "$tmp" libc libm libz libaio libnuma
	lab_copy_lean "$(command -v nvme)" "$tmp" libc libz libjson-c libnvme
	rm -f "$tmp/bin/blkdiscard" # busybox's cannot write zeroes
	lab_copy_program "$(command -v blkdiscard)" "$tmp"
	# shellcheck disable=SC2086
	for m in $(lab_modules "$kver" $LAB_L2_MODULES); do
		lab_unpack_module "$m" "$tmp/$mods/kernel" >/dev/null
	done
	cp "$LAB_CACHE/$kver/root/$mods"/modules.{builtin*,order} "$tmp/$mods/"
	depmod -b "$tmp" "$rel"
	rm -f "$tmp/$mods"/*.bin "$tmp/$mods"/modules.builtin.modinfo
	install -m 755 "$LAB_DIR/l2/init" "$tmp/init"
	lab_cpio "$tmp" "$2/guest.cpio"
	rm -rf "$tmp"
}

lab_build_min() {
	local tmp=$1/min
	mkdir -p "$tmp/proc"
	gcc -Os -static -nostdlib -fno-stack-protector -fno-pie -no-pie -fno-asynchronous-unwind-tables \
		-Wall -Wextra -o "$tmp/init" "$LAB_DIR/l2/min-init.c" -s || lab_die "cannot build min-init"
	lab_cpio "$tmp" "$1/min.cpio"
	rm -rf "$tmp"
}

# what the RAM disks are made from: they are made again when it changes
lab_stamp() {
	cat "$LAB_DIR/setup.sh" "$LAB_DIR"/l1/initramfs-init "$LAB_DIR"/l2/* "$LAB_CACHE/$1/release" \
		"$(command -v busybox)" "$(command -v iperf3)" "$(command -v fio)" "$(command -v nvme)" \
		"$(command -v blkdiscard)" | sha256sum
}

lab_setup_images() {
	local kver=$1 tmp stamp
	stamp=$(lab_stamp "$kver")
	[ "$(cat "$LAB_CACHE/$kver/stamp" 2>/dev/null)" != "$stamp" ] || return 0
	lab_say "building the RAM disks for $kver"
	tmp=$(mktemp -d "$LAB_CACHE/tmp.XXXXXX")
	lab_build_l1 "$kver" "$tmp"
	lab_build_guest "$kver" "$tmp"
	lab_build_min "$tmp"
	mv "$tmp/l1.cpio" "$tmp/guest.cpio" "$LAB_CACHE/$kver/"
	mv "$tmp/min.cpio" "$LAB_CACHE/"
	rmdir "$tmp"
	echo "$stamp" >"$LAB_CACHE/$kver/stamp"
}

lab_need_tools() {
	local t
	for t in qemu-system-x86_64 busybox cpio modprobe depmod gcc python3 xz zstd iperf3 fio nvme blkdiscard; do
		command -v "$t" >/dev/null || lab_die "'$t' is missing: run tests/deps lab"
	done
}

# lab_setup KVER...: everything a boot needs. Two set-ups at once wait for each other.
lab_setup() {
	local kver fd
	PATH=$PATH:/usr/sbin:/sbin
	lab_need_tools
	mkdir -p "$LAB_CACHE"
	exec {fd}>"$LAB_CACHE/setup.lock"
	flock "$fd"
	rm -rf "$LAB_CACHE"/tmp.*
	for kver in "$@"; do
		lab_setup_kernel "$kver"
		lab_setup_images "$kver"
	done
	exec {fd}>&-
}
