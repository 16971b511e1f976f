"""Safety rules, and a program that breaks each of them to see a test go red."""
