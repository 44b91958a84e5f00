"""From predictions to figures that a sceptic accepts."""
