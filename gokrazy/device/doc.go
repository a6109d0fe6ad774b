// Package device is what the appliance does to its own system: it runs as a
// program of gokrazy, which keeps the system to itself otherwise.
package device
