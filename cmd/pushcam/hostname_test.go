package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAwaitOtherName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		hostname := func() (string, error) {
			switch since := time.Since(began); {
			case since < time.Minute:
				return "pushcam", nil
			case since < 2*time.Minute:
				return "", errors.New("the kernel does not tell it")
			}
			return "garden", nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Second)
		defer cancel()
		if awaitOtherName(ctx, "pushcam", hostname) {
			t.Error("it has the same name")
		}
		if has := awaitOtherName(t.Context(), "pushcam", hostname); !has || time.Since(began) > 2*time.Minute+renameLook {
			t.Errorf("it has another one: %v after %v", has, time.Since(began))
		}
	})
}
