//go:build linux && (amd64 || arm64 || arm || riscv64 || loong64)

package ioctl

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ControlType says which values a control takes.
type ControlType uint32

// The types of enum v4l2_ctrl_type that are told apart here.
const (
	Integer     ControlType = 1
	Boolean     ControlType = 2
	Menu        ControlType = 3
	Button      ControlType = 4
	IntegerMenu ControlType = 9
)

// ControlInfo is what a device says of one of its controls.
type ControlInfo struct {
	ID                    uint32
	Type                  ControlType
	Name                  string
	Min, Max, Step, Value int32 // Value is the default one
	ReadOnly              bool
	Inactive              bool       // another control rules it now
	Items                 []MenuItem // of a Menu and an IntegerMenu
}

// MenuItem is one of a control's choices.
type MenuItem struct {
	Index  int32
	Name   string // of a Menu
	Number int64  // of an IntegerMenu
}

const (
	flagDisabled = 1          // V4L2_CTRL_FLAG_DISABLED
	flagReadOnly = 4          // V4L2_CTRL_FLAG_READ_ONLY
	flagInactive = 0x10       // V4L2_CTRL_FLAG_INACTIVE
	flagNext     = 0x80000000 // V4L2_CTRL_FLAG_NEXT_CTRL
)

// Control reads a control; EINVAL means that the device does not have it.
func (d *Device) Control(id uint32) (int32, error) {
	c := control{id: id}
	err := d.ioctl("VIDIOC_G_CTRL", vidiocGCtrl, unsafe.Pointer(&c))
	return c.value, err
}

// SetControl sets a control; EINVAL means that the device does not have it.
func (d *Device) SetControl(id uint32, value int32) error {
	c := control{id: id, value: value}
	return d.ioctl("VIDIOC_S_CTRL", vidiocSCtrl, unsafe.Pointer(&c))
}

// Controls lists the controls that the device has, in the order of their
// numbers; none when its driver has no such list.
func (d *Device) Controls() ([]ControlInfo, error) {
	var all []ControlInfo
	for id := uint32(0); len(all) < maxEnum; {
		q := queryctrl{id: id | flagNext}
		switch err := d.ioctl("VIDIOC_QUERYCTRL", vidiocQueryctrl, unsafe.Pointer(&q)); {
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTTY):
			return all, nil
		case err != nil:
			return all, err
		}
		if q.id <= id {
			return all, nil // a driver that does not go on
		}
		id = q.id
		if q.flags&flagDisabled != 0 {
			continue
		}
		switch c := q.info(); c.Type {
		case Menu, IntegerMenu:
			c.Items = d.items(c)
			all = append(all, c)
		case Integer, Boolean, Button:
			all = append(all, c)
		}
	}
	return all, nil
}

// items lists a menu. There may be gaps in it.
func (d *Device) items(c ControlInfo) (all []MenuItem) {
	for i := max(c.Min, 0); i <= min(c.Max, maxEnum); i++ {
		q := querymenu{id: c.ID, index: uint32(i)}
		if d.ioctl("VIDIOC_QUERYMENU", vidiocQuerymenu, unsafe.Pointer(&q)) != nil {
			continue
		}
		item := MenuItem{Index: i}
		if c.Type == IntegerMenu {
			item.Number = int64(binary.NativeEndian.Uint64(q.name[:]))
		} else {
			item.Name = unix.ByteSliceToString(q.name[:])
		}
		all = append(all, item)
	}
	return all
}

func (q *queryctrl) info() ControlInfo {
	return ControlInfo{
		ID: q.id, Type: ControlType(q.typ), Name: unix.ByteSliceToString(q.name[:]),
		Min: q.minimum, Max: q.maximum, Step: q.step, Value: q.defaultValue,
		ReadOnly: q.flags&flagReadOnly != 0, Inactive: q.flags&flagInactive != 0,
	}
}
