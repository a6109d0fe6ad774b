package camera

// The time of a synctest bubble is not the kernel's.
func init() { newAlarm = newTimerAlarm }
