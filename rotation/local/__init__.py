"""Emulator, a real database and the function put together: to try, to show and to practise on."""
