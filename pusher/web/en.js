export default {
  picture: "The camera's live picture",
  connecting: "connecting", live: "live", slow: "slow", reconnecting: "reconnecting", starting: "starting",
  lost: "camera lost", privacy: "privacy", updating: "updating",
  old: seconds => seconds + " s old",
  rate: frames => frames + " fps",
  watching: n => n + " watching",
  snapshot: "Save the picture", adjust: "Adjust the picture", rotate: "Turn the picture", mirror: "Mirror the picture",
  stamp: "Date and name on the picture", smaller: "Zoom out", larger: "Zoom in", full: "Full screen",
  leave: "Log out", buttons: "The picture",

  wall: "All cameras", closed: "closed",
  none: "No camera is named. Add them to this page's address: ?cam=pushcam.local&cam=192.168.1.20",
};
