module github.com/pushcam/pushcam/gokrazy/kernel

go 1.26
