CREATE ROLE shop LOGIN PASSWORD 'shop';
CREATE DATABASE shop OWNER shop;
\connect shop
SET ROLE shop;
CREATE TABLE product (id serial PRIMARY KEY, name text NOT NULL, price numeric(8, 2) NOT NULL);
INSERT INTO product (name, price) VALUES
  ('anchor chain', 129.90), ('mooring line', 48.50), ('bollard', 310.00), ('fender', 27.25);
