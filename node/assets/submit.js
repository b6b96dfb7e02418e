// Sends the form that carries a ticket back to its application; without scripts there is a button.
document.getElementById("acsForm").submit();
