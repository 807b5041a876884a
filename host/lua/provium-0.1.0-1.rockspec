-- For `luarocks make host/lua/provium-0.1.0-1.rockspec` in a checkout: the module, built by Meson as
-- for any other use, with all of Provium but QEMU inside.
rockspec_format = "3.0"
package = "provium"
version = "0.1.0-1"
source = {
	url = "git+file://.",
}
description = {
	summary = "Tests Linux kernels inside real virtual machines",
	detailed = [[
		Boots a kernel in QEMU with a small agent inside, and drives it: commands, files, system
		calls, workers with credentials of their own, the kernel's reports, fixtures.
	]],
	license = "MIT",
}
dependencies = {
	"lua >= 5.4, < 5.5",
}
build = {
	type = "command",
	build_command = "scripts/package-cache && scripts/configure build/rock && ninja -C build/rock host/lua/provium.so host/provium-vsock",
	install = {
		lib = {
			provium = "build/rock/host/lua/provium.so",
		},
		bin = {
			["provium-vsock"] = "build/rock/host/provium-vsock",
		},
	},
}
