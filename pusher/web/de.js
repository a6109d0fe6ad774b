export default {
  picture: "Das Livebild der Kamera",
  connecting: "verbindet", live: "live", slow: "langsam", reconnecting: "verbindet neu", starting: "startet",
  lost: "Kamera weg", privacy: "Privatsphäre", updating: "Update läuft",
  old: seconds => seconds + " s alt",
  rate: frames => frames + " Bilder/s",
  watching: n => n === 1 ? "1 sieht zu" : n + " sehen zu",
  snapshot: "Bild speichern", adjust: "Bild anpassen", rotate: "Bild drehen", mirror: "Bild spiegeln",
  stamp: "Datum und Name im Bild", smaller: "Verkleinern", larger: "Vergrößern", full: "Vollbild",
  leave: "Abmelden", buttons: "Das Bild",

  wall: "Alle Kameras", closed: "geschlossen",
  none: "Keine Kamera ist genannt. Sie gehören in die Adresse dieser Seite: ?cam=pushcam.local&cam=192.168.1.20",
};
