//go:build !linux

package camera

var newAlarm = newTimerAlarm
