// Package device is what the program does to the system that it runs on, when that is
// the appliance: load kernel modules, switch off, read sensors, check the owner's
// password, keep itself in memory. On other systems udev, systemd and their like do that.
package device
